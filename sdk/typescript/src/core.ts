// What rooms have of their client. Types only, so that rooms need not know it.
import type { Link } from "./link.js";
import type { Outbox } from "./outbox.js";
import type { ClientEvents } from "./types.js";

/** What a room needs of its client. */
export interface Core {
  readonly _outbox: Outbox;
  _nextId(): number;
  /** Opens a socket if there is none; throws if that cannot be, or the call needs a membership. */
  _start(isOutside?: boolean): void;
  /** The link on which rooms are to be joined. */
  _joinLink(): Link | undefined;
  /** A room has its answer, or needs none any more. */
  _answered(): void;
  /** Something is missing in a room: not everything is resumed. A gap is told by the client too. */
  _holed(gap?: ClientEvents["gap"]): void;
}
