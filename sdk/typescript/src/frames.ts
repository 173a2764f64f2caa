// The node's frames as types, and the check that makes one of an unknown value. Knows neither
// sockets nor rooms. A frame that is not known, or lacks what its type requires, is no frame.

/** A place in a room: everything up to `seq` in the numbering `epoch` is known. */
export interface Position {
  /** The numbering; a room that lost its history begins another one. */
  epoch: string;
  /** The message's number, from 1. */
  seq: number;
}

/** A numbered message, as it is in a frame or in a page of history. */
export interface MessageFields {
  /** The message's number, from 1. */
  seq: number;
  /** Unix time in milliseconds, by the cluster's clock. */
  time: number;
  /** Who published it; absent where the publisher has no name. */
  user?: string;
  /** The connection that published it; absent where a backend did. */
  connection?: string;
  /** The kind that the publisher gave it. */
  event?: string;
  /** Only in a message of this connection's own. */
  key?: string;
  /** The key of the room's state that it sets. */
  state_key?: string;
  /** How long the value is held, in milliseconds. */
  ttl_ms?: number;
  /** The value was taken away. */
  remove?: boolean;
  /** What the publisher shows of itself, where the namespace adds that. */
  info?: unknown;
  /** What was published. */
  data: unknown;
}

/** The numbers of a room's member list, where presence is on and allowed: all four or none. */
export interface Counts {
  count?: number;
  users?: number;
  rev?: number;
  rev_epoch?: string;
}

/** How far the user has confirmed a room, in `@me` and rooms with receipts. */
export interface Marks {
  received?: number;
  read?: number;
  unread?: number;
}

/** Whether a member is at the device. */
export type PresenceStatus = "active" | "away";

/** One line of a member list. Without `connection`: a user whose last connection just ended. */
export interface MemberEntry {
  /** The connection; a user may have several. */
  connection?: string;
  /** The user's name. */
  user?: string;
  /** What the member shows of itself. */
  info?: unknown;
  /** `active` if not given. */
  status?: PresenceStatus;
}

/** The value of one key of a room's state; without `key` the room's own value. */
export interface StateFields {
  key?: string;
  seq: number;
  time: number;
  user?: string;
  data: unknown;
  /** The last values of the key, where the namespace keeps several; of a snapshot only. */
  points?: { seq: number; time: number; data: unknown }[];
}

/** A frame of a room. */
export interface InRoom {
  /** The room's name. */
  room: string;
}
/** A frame that may answer a request. */
export interface Answer {
  /** The request's `id`. */
  id?: number;
}

export type ConnectedFrame = {
  type: "connected";
  connection: string;
  user?: string;
  node: string;
  time: number;
  expires?: number;
  online?: number;
  heartbeat: { interval_ms: number; timeout_ms: number };
  limits: { message_bytes: number; rooms: number };
};
export type JoinedFrame = { type: "joined"; recovered?: boolean; state?: boolean } & Answer &
  InRoom &
  Position &
  Counts &
  Marks;
export type LeftFrame = { type: "left"; reason?: string } & Answer & InRoom;
export type AckFrame = { type: "ack"; id: number; time: number } & InRoom & Position;
export type MessageFrame = { type: "message" } & InRoom & MessageFields;
export type GapFrame = {
  type: "gap";
  from: number;
  to: number;
  conflated?: boolean;
  state?: boolean;
} & InRoom;
/** The room goes on in another numbering. */
export type ResetFrame = { type: "reset"; lost: number; state?: boolean } & InRoom & Position;
/** A page of a room's messages. */
export type HistoryFrame = { type: "history"; epoch: string; messages: MessageFields[]; more: boolean } & Answer &
  InRoom;
/** What a member says to those who are there. */
export type SignalFrame = {
  type: "signal";
  user?: string;
  connection?: string;
  event: string;
  data?: unknown;
} & InRoom;
export type TypingFrame = { type: "typing"; user?: string; connection?: string; active: boolean } & InRoom;
export type UserChangeFrame = {
  type: "user_joined" | "user_left";
  user: string;
  info?: unknown;
  time: number;
  count: number;
  users: number;
  rev: number;
} & InRoom;
export type CountFrame = { type: "count"; count: number; users: number; rev: number; list?: boolean } & InRoom;
export type PresenceResetFrame = { type: "presence_reset"; after_ms: number } & InRoom;
/** A page of a room's member list. */
export type MembersFrame = {
  type: "members";
  members: MemberEntry[];
  count: number;
  users: number;
  rev: number;
  rev_epoch: string;
  more?: string;
} & Answer &
  InRoom;
/** What others see of this connection. */
export type PresenceFrame = {
  type: "presence";
  user?: string;
  connection?: string;
  info?: unknown;
  status?: PresenceStatus;
  rev?: number;
} & Answer &
  InRoom;
export type StateFrame = { type: "state"; entries: StateFields[]; more: boolean; page?: string } & Answer &
  InRoom &
  Position;
export type RoomFrame = { type: "room"; time?: number } & Answer & InRoom & Position & Counts & Marks;
export type ReceivedFrame = { type: "received"; read: number } & Answer & InRoom & Position;
/** How far a user has received and read a room, where it gives receipts. */
export type ReceiptsFrame = { type: "receipts"; received: number; read: number } & InRoom & Position;
export type WatchingFrame = { type: "watching"; users: { user: string; online: boolean }[] } & Answer;
export type UserFrame = { type: "user"; user: string; online: boolean; time: number };
export type RefreshedFrame = { type: "refreshed"; expires: number; time: number } & Answer;
export type PongFrame = { type: "pong"; time: number } & Answer;
export type ReconnectFrame = { type: "reconnect"; after_ms: number; reason: string };
export type ErrorFrame = {
  type: "error";
  id?: number;
  room?: string;
  code: string;
  message: string;
  retry_after_ms?: number;
};

export type ServerFrame =
  | ConnectedFrame
  | JoinedFrame
  | LeftFrame
  | AckFrame
  | MessageFrame
  | GapFrame
  | ResetFrame
  | HistoryFrame
  | SignalFrame
  | TypingFrame
  | UserChangeFrame
  | CountFrame
  | PresenceResetFrame
  | MembersFrame
  | PresenceFrame
  | StateFrame
  | RoomFrame
  | ReceivedFrame
  | ReceiptsFrame
  | WatchingFrame
  | UserFrame
  | RefreshedFrame
  | PongFrame
  | ReconnectFrame
  | ErrorFrame;

/** What a client sends. Absent fields are left out. */
export interface ClientFrame {
  type: string;
  id?: number;
  [field: string]: unknown;
}

// What the client counts with, wherever it appears: a number, or the frame is none.
const NUMBERS = ["id", "seq", "from", "to", "rev", "count", "read"];

export function isRecord(value: unknown): value is Record<string, unknown> {
  return !!value && typeof value == "object" && !Array.isArray(value);
}

/**
 * Whether a decoded value is a frame: a type, and numbers where the client counts. That nothing is
 * left out of a known type is the node's word; a type that is not known means nothing to anybody.
 */
export function isServerFrame(value: unknown): value is ServerFrame {
  return (
    isRecord(value) &&
    typeof value.type == "string" &&
    NUMBERS.every((name) => value[name] === undefined || typeof value[name] == "number")
  );
}

/** A frame without what only the wire needs. */
export function fields<F extends ServerFrame>(frame: F): Omit<F, "type" | "id"> {
  const { type: _, id: __, ...rest } = frame as { type: unknown; id?: unknown };
  return rest as Omit<F, "type" | "id">;
}
