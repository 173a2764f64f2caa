// The `ws` package as a server of rooms in one process, with Roomcast's frames as far as `loadtest
// fanout --url` needs them, and with compression as the package does it by default where it is asked
// to: for each member by itself, with a window that is kept.
//
//   node fanout.mjs PORT [deflate]

import { WebSocketServer } from "ws";

const [port, deflate] = process.argv.slice(2);
const epoch = "0000000000000001";
const rooms = new Map();

function room(name) {
  if (!rooms.has(name)) rooms.set(name, { seq: 0, members: new Set() });
  return rooms.get(name);
}

const server = new WebSocketServer({
  port: Number(port),
  host: "127.0.0.1",
  path: "/ws",
  perMessageDeflate: deflate === "deflate",
  handleProtocols: (offered) => offered.values().next().value,
});
server.on("connection", (socket) => {
  const send = (frame) => socket.send(JSON.stringify(frame));
  const heartbeat = { interval_ms: 25000, timeout_ms: 75000 };
  const limits = { message_bytes: 1048576, rooms: 128 };
  send({ type: "connected", connection: epoch, node: "ws", time: Date.now(), heartbeat, limits });
  socket.on("message", (text) => {
    const frame = JSON.parse(text);
    if (frame.type === "join") {
      for (const { room: name } of frame.rooms ?? [frame]) {
        room(name).members.add(socket);
        send({ type: "joined", id: frame.id, room: name, epoch, seq: room(name).seq });
      }
    } else if (frame.type === "publish") {
      const { members } = room(frame.room);
      const seq = ++room(frame.room).seq;
      const { room: name, data } = frame;
      const message = JSON.stringify({ type: "message", room: name, epoch, seq, time: Date.now(), data });
      for (const member of members) member.send(message);
    }
  });
  socket.on("close", () => {
    for (const { members } of rooms.values()) members.delete(socket);
  });
  socket.on("error", () => {});
});
server.on("listening", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
