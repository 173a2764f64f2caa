// `for await` over a room: a bounded buffer between what comes and a reader that takes its time.
// Knows no room.
import { RoomcastError } from "./errors.js";
import type { Message } from "./types.js";

const HELD_MESSAGES = 10_000;

export class MessageIterator implements AsyncIterator<Message, undefined> {
  /** @internal */
  _held: Message[] = [];
  /** @internal */
  _taken = 0;
  /** @internal */
  _end: { _error?: RoomcastError } | undefined;
  /** @internal */
  _wake: (() => void) | undefined;
  /** @internal */
  _ended: (self: MessageIterator) => void;

  constructor(ended: (self: MessageIterator) => void) {
    this._ended = ended;
  }

  _push(message: Message): void {
    if (this._held.length - this._taken < HELD_MESSAGES) this._held.push(message);
    else this._finish(new RoomcastError("slow_reader"));
    this._wake?.();
  }

  /** Ends after what is held: with an error, or as a loop ends. */
  _finish(error?: RoomcastError): void {
    this._end ??= error ? { _error: error } : {};
    this._ended(this);
    this._wake?.();
  }

  async next(): Promise<IteratorResult<Message, undefined>> {
    for (;;) {
      const message = this._held[this._taken];
      if (message) {
        // Taking from the front of a long array one by one would move it each time.
        if (++this._taken > 500) {
          this._held.splice(0, this._taken);
          this._taken = 0;
        }
        return { value: message, done: false };
      }
      if (this._end) {
        const { _error } = this._end;
        this._end = {};
        if (_error) throw _error;
        return { value: undefined, done: true };
      }
      await new Promise<void>((resolve) => (this._wake = resolve));
    }
  }

  async return(): Promise<IteratorResult<Message, undefined>> {
    this._held = [];
    this._taken = 0;
    this._end = {};
    this._finish();
    return { value: undefined, done: true };
  }
}
