// Rooms with `load`: the application's state, read together with its position, closes what resuming
// cannot. Holds messages meanwhile. Pure but for the application's own function and a pause.
import { sleep } from "./clock.js";
import { pause } from "./backoff.js";
import type { Position } from "./frames.js";
import type { Message, RoomOptions } from "./types.js";

// Beyond this the held ones are let go, and the room is joined again from the loaded position.
const enum Limit {
  HeldMessages = 10_000,
}

export type Loader = ReturnType<typeof makeLoader>;

export function makeLoader() {
  let held: Message[] | undefined;
  // Up to here the application must have read, or messages are missing.
  let hole: Position | undefined;
  let abort: AbortController | undefined;

  return {
    /** Reads the application's state until that succeeds; nothing if it was given up. */
    async _run(load: NonNullable<RoomOptions["load"]>): Promise<Position | undefined> {
      abort?.abort();
      const { signal } = (abort = new AbortController());
      for (let failures = 1; !signal.aborted; failures++) {
        try {
          // Applications give what they read and its position in one; of nothing this throws.
          const { epoch, seq } = await load(signal);
          if (!signal.aborted) return { epoch, seq };
        } catch {
          await sleep(pause(failures), signal);
        }
      }
      return;
    },

    /** Notes a hole that ends here; whether the application is to be asked, and is not already. */
    _gap(end: Position): boolean {
      const isFirst = !held;
      hole = end;
      held ??= [];
      return isFirst;
    },

    /** Whether the message is kept for later. */
    _message(message: Message): boolean {
      if (held && held.push(message) > Limit.HeldMessages) {
        held = [];
        hole = message;
      }
      return !!held;
    },

    /** What the application lacks after it has read up to `at`; nothing if the hole is not closed. */
    _finish({ epoch, seq }: Position): Message[] | undefined {
      const kept = held?.filter((message) => message.epoch != epoch || message.seq > seq);
      const isClosed = hole && hole.epoch == epoch && hole.seq <= seq;
      held = hole = undefined;
      return isClosed ? kept : undefined;
    },

    _end() {
      abort?.abort();
      held = hole = undefined;
    },
  };
}
