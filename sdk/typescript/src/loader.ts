// Rooms with `load`: the application's state, read together with its position, closes what resuming
// cannot. Holds messages meanwhile. Pure but for the application's own function and a pause.
import { pause } from "./backoff.js";
import type { Position } from "./frames.js";
import type { Environment, Message, RoomOptions } from "./types.js";

// Beyond this the held ones are let go, and the room is joined again from the loaded position.
const HELD_MESSAGES = 10_000;

export type Load = NonNullable<RoomOptions["load"]>;

export class Loader {
  /** @internal */
  _held: Message[] | undefined;
  // Up to here the application must have read, or messages are missing.
  /** @internal */
  _end: Position | undefined;
  /** @internal */
  _abort: AbortController | undefined;
  /** Whether the room was joined again by a loaded position, and has not answered for that. */
  _isSecond = false;

  constructor(
    /** @internal */ readonly _environment: Environment,
  ) {}

  /** Reads the application's state until that succeeds; nothing if it was given up. */
  async _run(load: Load): Promise<Position | undefined> {
    this._abort?.abort();
    const { signal } = (this._abort = new AbortController());
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        const { epoch, seq } = await load(signal);
        return signal.aborted ? undefined : { epoch, seq };
      } catch {
        const { setTimeout, random } = this._environment;
        await new Promise<void>((resolve) => setTimeout(resolve, pause(failures, random)));
      }
    }
    return;
  }

  /** Notes a hole that ends here; whether the application is to be asked, and is not already. */
  _begin(end: Position): boolean {
    this._end = end;
    if (this._held) return false;
    this._held = [];
    return true;
  }

  /** Whether the message is kept for later. */
  _hold(message: Message): boolean {
    if (!this._held) return false;
    this._held.push(message);
    if (this._held.length > HELD_MESSAGES) {
      this._held = [];
      this._end = message;
    }
    return true;
  }

  /** What the application lacks after it has read up to `at`; nothing if the hole is not closed. */
  _finish(at: Position): Message[] | undefined {
    const { _held = [], _end } = this;
    this._held = this._end = undefined;
    if (_end && (_end.epoch != at.epoch || at.seq < _end.seq)) return;
    return _held.filter(({ epoch, seq }) => epoch != at.epoch || seq > at.seq);
  }

  _stop(): void {
    this._abort?.abort();
    this._held = this._end = undefined;
    this._isSecond = false;
  }
}
