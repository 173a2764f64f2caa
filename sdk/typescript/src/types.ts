// The public types that are not frames: options, events, what handles give. Types only.
import type {
  HistoryFrame,
  MemberEntry,
  MembersFrame,
  MessageFields,
  PresenceFrame,
  PresenceStatus,
  ReceiptsFrame,
  SignalFrame,
  StateFields,
} from "./frames.js";
import type { RoomcastError } from "./errors.js";
import type { Position } from "./frames.js";

/** How frames are written: JSON is the default, MessagePack is the entry `./msgpack`. */
export interface Encoding {
  /** The subprotocol, `roomcast.v1.json` or `roomcast.v1.msgpack`. */
  readonly protocol: string;
  /** Fields that are undefined are left out. */
  encode(frame: unknown): string | Uint8Array<ArrayBuffer>;
  /** Throws on what is not of this encoding. */
  decode(data: unknown): unknown;
}

/** What the client needs of a WebSocket: that of browsers, of Node 22, or of the package `ws`. */
export interface SocketLike {
  binaryType: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}
export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

export interface ClientOptions {
  user?: string;
  /** The client's name over all its connections; random if not given. */
  client?: string;
  token?: string | (() => string | Promise<string>);
  encoding?: Encoding;
  /** Milliseconds. */
  backoff?: { initial?: number; factor?: number; cap?: number };
  /** How long a publish may wait, in milliseconds; without it there is no bound. */
  timeout?: number;
  /** An attempt without `connected` is given up after this; 10,000 ms if not given. */
  handshakeTimeout?: number;
  queue?: { messages?: number; bytes?: number };
  WebSocket?: SocketClass;
}

export type ClientState = "idle" | "connecting" | "connected" | "reconnecting" | "closed";

export interface ClientEvents {
  connected: undefined;
  reconnecting: { attempt: number; delayMs: number; code?: number | string };
  reconnected: undefined;
  resumed: undefined;
  gap: { room: string; from: number; to: number; conflated?: boolean };
  failed: RoomcastError;
}

export interface RoomOptions {
  /** Begin with up to so many of the latest messages. */
  history?: number;
  /** Receive the members' coming and going, and keep `members`. */
  presence?: boolean;
  since?: Position | { time: number };
  /** What other members see of this one. */
  info?: unknown;
  /** A token for this room; a function is asked before each join. */
  token?: string | (() => string | Promise<string>);
  /** Refuse to begin with a gap or a reset. */
  strict?: boolean;
  /** Reads the application's state and the position that it is of. */
  load?: (signal: AbortSignal) => Promise<Position>;
}

export type RoomStatus = "joining" | "joined" | "resuming" | "left";

/** A message of a room, with the epoch that its `seq` counts in. */
export interface Message extends MessageFields {
  room: string;
  epoch: string;
}
/** A user in a room. */
export interface Member {
  readonly user: string;
  readonly info?: unknown;
  readonly status?: PresenceStatus;
}
/** The value of a key in a room's state. */
export interface StateEntry {
  readonly data: unknown;
  readonly seq: number;
  readonly time: number;
  readonly user?: string;
  readonly points?: StateFields["points"];
}
/** How far the user has confirmed a room. */
export interface ReadMarks {
  received: number;
  read: number;
  unread: number;
}

export interface RoomEvents {
  message: Message;
  gap: { room: string; from: number; to: number; conflated?: boolean; state?: boolean };
  reset: { room: string; epoch: string; seq: number; lost: number; state?: boolean };
  /** After each change of `members`, `count` or `users`. */
  presence: undefined;
  /** Without `user`: a connection that has none. */
  typing: { user?: string; connection?: string; active: boolean };
  signal: Signal;
  /** Without `entry` the key was removed. */
  state: { key: string; entry?: StateEntry };
  receipts: Omit<ReceiptsFrame, "type">;
  read: ReadMarks;
  left: { reason?: string; code?: string };
  error: RoomcastError;
}
export type Signal = Omit<SignalFrame, "type">;

export interface PublishOptions {
  event?: string;
  key?: string;
  ifSeq?: Position | number;
  ifKeySeq?: Position | number;
  stateKey?: string;
  ttlMs?: number;
  remove?: boolean;
  receipts?: boolean;
  echo?: boolean;
  signal?: AbortSignal;
}
/** Where a published message is. */
export interface Published extends Position {
  time: number;
}
export type HistoryPage = Omit<HistoryFrame, "type" | "id">;
export type Shown = Omit<PresenceFrame, "type" | "id">;
export type MemberPage = Omit<MembersFrame, "type" | "id">;
export type { MemberEntry };
