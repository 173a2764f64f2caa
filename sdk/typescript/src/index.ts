// The core entry: `Client`, `Room` and their types.
export { RoomcastError } from "./errors.js";
export type { ClientApi as Client, RoomApi as Room } from "./api.js";
export type * from "./types.js";
export type { MessageFields, Position, PresenceStatus } from "./frames.js";
