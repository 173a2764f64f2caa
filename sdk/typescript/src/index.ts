// The core entry: `Client`, and the types of all that it gives.
export { Client } from "./client.js";
export type { RoomcastError } from "./errors.js";
export type { ClientConstructor, Room } from "./api.js";
export type { On } from "./emitter.js";
export type * from "./types.js";
export type {
  Answer,
  HistoryFrame,
  InRoom,
  MembersFrame,
  MessageFields,
  Position,
  PresenceFrame,
  PresenceStatus,
  ReceiptsFrame,
  SignalFrame,
} from "./frames.js";
