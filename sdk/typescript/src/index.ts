// The core entry: `Client`, and the types of all that it gives.
export { Client } from "./client.js";
export type { RoomcastError } from "./errors.js";
export type { Room } from "./api.js";
export type * from "./types.js";
export type { MessageFields, Position, PresenceStatus } from "./frames.js";
