// What rooms have of their client. Types only, so that rooms need not know it.
import type { Emitter } from "./emitter.js";
import type { RoomcastError } from "./errors.js";
import type { ClientFrame, ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import type { Item, Outbox } from "./outbox.js";
import type { ClientEvents } from "./types.js";

/** What a room needs of its client. */
export interface Core {
  readonly _outbox: Outbox;
  readonly _emitter: Emitter<ClientEvents>;
  _nextId(): number;
  /** Opens a socket if there is none; why that cannot be. */
  _start(): RoomcastError | undefined;
  /** Why every call rejects. */
  _error(): RoomcastError | undefined;
  /** The link on which rooms are to be joined. */
  _joinLink(): Link | undefined;
  /** A room has its answer, or needs none any more. */
  _answered(): void;
  /** Something is missing in a room: not everything is resumed. */
  _holed(): void;
  _encode(frame: ClientFrame): string | Uint8Array<ArrayBuffer>;
  _ask(frame: ClientFrame, member?: Item["_member"], link?: Link): Promise<ServerFrame>;
}
