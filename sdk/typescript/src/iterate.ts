// `for await` over a room: a bounded buffer between what comes and a reader that takes its time.
// Knows no room.
import { failure, type RoomcastError } from "./errors.js";
import type { Message } from "./types.js";

const enum Limit {
  HeldMessages = 10_000,
}

export interface MessageIterator extends AsyncIterator<Message, undefined> {
  _push(message: Message): void;
  /** Ends after what is held: with an error, or as a loop ends. */
  _finish(error?: RoomcastError): void;
}

export function iterate(onEnd: (iterator: MessageIterator) => void): MessageIterator {
  let held: Message[] = [];
  let isOver = false;
  let thrown: RoomcastError | undefined;
  let wake = () => {};

  const iterator = {
    _push(message: Message) {
      if (held.length < Limit.HeldMessages) held.push(message);
      else iterator._finish(failure("slow_reader"));
      wake();
    },
    _finish(error?: RoomcastError) {
      if (!isOver) thrown = error;
      isOver = true;
      onEnd(iterator);
      wake();
    },
    async next(): Promise<IteratorResult<Message, undefined>> {
      while (!held.length && !isOver) await new Promise<void>((resolve) => (wake = resolve));
      const value = held.shift();
      if (value) return { value, done: false };
      const error = thrown;
      thrown = undefined;
      if (error) throw error;
      return { value: undefined, done: true };
    },
    return() {
      held = [];
      iterator._finish();
      return iterator.next();
    },
  };
  return iterator;
}
