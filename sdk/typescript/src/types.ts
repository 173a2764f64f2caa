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
  /** A frame as it goes over the socket; fields that are undefined are left out. */
  encode(frame: unknown): string | Uint8Array<ArrayBuffer>;
  /** Throws on what is not of this encoding. */
  decode(data: unknown): unknown;
}

/** What the client needs of a WebSocket: that of browsers, of Node 22, or of the package `ws`. */
export interface SocketLike {
  /** The client sets it to `arraybuffer`. */
  binaryType: string;
  /** The handshake succeeded. */
  onopen: ((event: never) => void) | null;
  /** A frame came, as the event's `data`. */
  onmessage: ((event: never) => void) | null;
  /** The connection ended, with the event's `code`. */
  onclose: ((event: never) => void) | null;
  /** Ignored: a close follows. */
  onerror: ((event: never) => void) | null;
  /** Sends a frame. */
  send(data: string | Uint8Array<ArrayBuffer>): void;
  /** Ends the connection. */
  close(code?: number, reason?: string): void;
}
/** A class of sockets, as `ClientOptions.WebSocket` takes it. */
export type SocketClass = new (url: string, protocols: string[]) => SocketLike;

/** What a client is made with. All durations are milliseconds. */
export interface ClientOptions {
  /** The user, where the node does not ask for tokens. */
  user?: string;
  /** The client's name over all its connections; random if not given. */
  client?: string;
  /**
   * Who the user is. A function is asked again at 75 to 90 % of a token's life, and after a token was
   * refused; a string serves until it expires.
   */
  token?: string | (() => string | Promise<string>);
  /** JSON if not given. */
  encoding?: Encoding;
  /** Between attempts: a random pause of up to `initial` (1,000), times `factor` (2) after each, at most `cap` (30,000). */
  backoff?: { initial?: number; factor?: number; cap?: number };
  /** How long a publish may wait, in milliseconds; without it there is no bound. */
  timeout?: number;
  /** An attempt without `connected` is given up after this; 10,000 ms if not given. */
  handshakeTimeout?: number;
  /** The most publishes that wait for their ack: 1,000 and 1 MiB if not given. Beyond: `queue_full`. */
  queue?: { messages?: number; bytes?: number };
  /** The class of sockets; the global one if not given. For Node 20: that of the package `ws`. */
  WebSocket?: SocketClass;
}

/** Where a client is; `closed` is for good. */
export type ClientState = "idle" | "connecting" | "connected" | "reconnecting" | "closed";

/** The events of a client, and what their listeners are given. */
export interface ClientEvents {
  /** The first connection stands: once. */
  connected: undefined;
  /** Attempt number `attempt` follows in `delayMs`; `code` of a close, or of the node's refusal. */
  reconnecting: { attempt: number; delayMs: number; code?: number | string };
  /** The socket is back; rooms are being joined again. */
  reconnected: undefined;
  /** All rooms go on where they were, without a hole. */
  resumed: undefined;
  /** What a room lacks, both numbers included; `conflated`: left out on purpose, for a slow reader. */
  gap: { room: string; from: number; to: number; conflated?: boolean };
  /** The client is closed for good, and why. */
  failed: RoomcastError;
}

/** How a room is joined. */
export interface RoomOptions {
  /** Begin with up to so many of the latest messages. */
  history?: number;
  /** Receive the members' coming and going, and keep `members`. */
  presence?: boolean;
  /** Begin after a position, or with what came since a Unix time in milliseconds. */
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

/** Where a membership is: `resuming` after a lost connection, `left` before the first join too. */
export type RoomStatus = "joining" | "joined" | "resuming" | "left";

/** A message of a room, with the epoch that its `seq` counts in. */
export interface Message extends MessageFields {
  /** The room's name. */
  room: string;
  /** The room's numbering. */
  epoch: string;
}
/** A user in a room. */
export interface Member {
  /** The user's name. */
  readonly user: string;
  /** What the user shows of itself. */
  readonly info?: unknown;
  /** `active` if not given. */
  readonly status?: PresenceStatus;
}
/** The value of a key in a room's state. */
export interface StateEntry {
  /** The value. */
  readonly data: unknown;
  /** The message that set it. */
  readonly seq: number;
  /** When, as Unix time in milliseconds. */
  readonly time: number;
  /** Who set it. */
  readonly user?: string;
  /** The last values, oldest first, where the namespace keeps several. */
  readonly points?: StateFields["points"];
}
/** How far the user has confirmed a room. */
export interface ReadMarks {
  /** The seq up to which everything arrived. */
  received: number;
  /** The seq up to which everything was read. */
  read: number;
  /** How many messages follow that. */
  unread: number;
}

/** The events of a room, and what their listeners are given. */
export interface RoomEvents {
  /** The next message. */
  message: Message;
  /** Messages that will not come, both numbers included. */
  gap: { room: string; from: number; to: number; conflated?: boolean; state?: boolean };
  /** The room goes on in another numbering, after its `seq`; `lost` messages of the old one will not come. */
  reset: { room: string; epoch: string; seq: number; lost: number; state?: boolean };
  /** After each change of `members`, `count` or `users`. */
  presence: undefined;
  /** Without `user`: a connection that has none. */
  typing: { user?: string; connection?: string; active: boolean };
  /** Another member's signal. */
  signal: Signal;
  /** Without `entry` the key was removed. */
  state: { key: string; entry?: StateEntry };
  /** How far somebody else has received and read. */
  receipts: Omit<ReceiptsFrame, "type">;
  /** `unread` or `read` of this user changed, on whatever device. */
  read: ReadMarks;
  /** The node ended the membership, or refused it after a reconnect; not after `leave()`. */
  left: { reason?: string; code?: string };
  /** An error of the node that belongs to no promise. */
  error: RoomcastError;
}
/** What a member said to those who were there; it is not kept. */
export type Signal = Omit<SignalFrame, "type">;

/** How a message is published. */
export interface PublishOptions {
  /** A name that tells kinds of messages apart. */
  event?: string;
  /** The same key is kept once; random if not given, so that sending again never doubles. */
  key?: string;
  /** Only if the room is at this position; else `seq_conflict`. */
  ifSeq?: Position | number;
  /** Only if the last message of `stateKey` is this one, 0 for none; else `seq_conflict`. */
  ifKeySeq?: Position | number;
  /** The key of a state room that the message sets. */
  stateKey?: string;
  /** How long a state room holds the value. */
  ttlMs?: number;
  /** Takes the value of `stateKey` away. */
  remove?: boolean;
  /** Be told with `receipts` who received and read it. */
  receipts?: boolean;
  /** `false`: this client does not receive it. */
  echo?: boolean;
  /** Ends the waiting; what was sent already may be kept all the same. */
  signal?: AbortSignal;
}
/** Where a published message is. */
export interface Published extends Position {
  /** When it was kept, as Unix time in milliseconds. */
  time: number;
}
/** A page of a room's messages, oldest first; `more`: there are others. */
export type HistoryPage = Omit<HistoryFrame, "type" | "id">;
/** What others see of this connection. */
export type Shown = Omit<PresenceFrame, "type" | "id">;
/** A page of a room's members; `more` is the next page's name. */
export type MemberPage = Omit<MembersFrame, "type" | "id">;
export type { MemberEntry };
