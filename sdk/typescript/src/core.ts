// What rooms have of their client, and the client of them. Types only, so that neither needs to know the other.
import type { RoomcastError } from "./errors.js";
import type { ErrorFrame, ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import type { Outbox } from "./outbox.js";
import type { ClientEvents, Encoding, RoomOptions } from "./types.js";

/** What a room needs of its client. */
export interface Core {
  readonly _outbox: Outbox;
  _nextId(): number;
  /** Throws `bad_data` where the application's values cannot be written. */
  readonly _encode: Encoding["encode"];
  /** Throws once the client has ended. */
  _live(): void;
  /** Opens a socket if there is none; throws if that cannot be, or the call needs a membership. */
  _start(isOutside?: boolean): void;
  /** The link on which rooms are to be joined. */
  _joinLink(): Link | undefined;
  /** A room has its answer, or needs none any more. */
  _answered(): void;
  /** Something is missing in a room: not everything is resumed. A gap is told by the client too. */
  _holed(gap?: ClientEvents["gap"]): void;
}

/** What the client has of a room beside what applications have. */
export interface RoomInside {
  _enter(on: Link | undefined): Promise<void>;
  _lost(on: Link): void;
  _adopt(given: RoomOptions): void;
  _isOn(on: Link): boolean;
  _end(error: RoomcastError): void;
  _onError(on: Link, frame: ErrorFrame): void;
  _onFrame(on: Link, frame: ServerFrame): void;
}
