// The core entry: `Client`, `Room` and their types.
export { Client } from "./client.js";
export { Room } from "./room.js";
export { RoomcastError } from "./errors.js";
export type * from "./types.js";
export type { MessageFields, Position, PresenceStatus } from "./frames.js";
