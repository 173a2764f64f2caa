// `for await` over a room: a bounded buffer between what comes and a reader that takes its time.
// Knows no room.
import { failure, type RoomcastError } from "./errors.js";
import type { Message } from "./types.js";

const enum Limit {
  HeldMessages = 10_000,
}

export interface MessageIterator extends AsyncIterator<Message, undefined> {
  _message(message: Message): void;
  /** Ends after what is held: with an error, or as a loop ends. */
  _end(error?: RoomcastError): void;
}

/** It is among `running` as long as it takes messages. */
export function iterate(running: Set<MessageIterator>): MessageIterator {
  let held: Message[] = [];
  let end: [RoomcastError?] | undefined;
  let wake = () => {};

  const finish = (...error: [RoomcastError?]) => {
    end = end ?? error;
    running.delete(iterator);
    wake();
  };
  // A generator takes one call after another, also where several wait.
  const messages = (async function* (): AsyncGenerator<Message, undefined> {
    for (;;) {
      for (let message; (message = held.shift()); ) yield message;
      if (end?.[0]) throw end[0];
      if (end) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  })();
  const iterator: MessageIterator = Object.assign(messages, {
    _end: finish,
    _message(message: Message) {
      if (held.length < Limit.HeldMessages) held.push(message);
      else finish(failure("slow_reader"));
      wake();
    },
    // A loop that is broken off wants no more of it, an error neither.
    return() {
      held = end = [];
      finish();
      return messages.next();
    },
  });
  running.add(iterator);
  return iterator;
}
