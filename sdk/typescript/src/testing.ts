// The entry `./testing`: a node in the process of a test.
export { FakeServer, type Refusal } from "./testing/server.js";
export { FakeRoom, type FakeMember, type FakeMessage, type FakeRoomOptions } from "./testing/room.js";
export { FakeSocket, type Frame } from "./testing/socket.js";
