// The design that tutorials show: the `ws` package in front of Redis Pub/Sub. Every node subscribes
// to the rooms of its members and sends each message to them, one after the other. No order between
// publishers' nodes beyond Redis's, no history, no repair: what Pub/Sub loses is lost.
//
//   node server.mjs PORT REDIS_URL
//
// Frames: {"type":"join","room":R} is answered by {"type":"joined","room":R};
// {"type":"publish","room":R,"data":D} reaches members as {"type":"message","room":R,"data":D}.

import { WebSocketServer } from "ws";
import { createClient } from "redis";

const [port, url] = process.argv.slice(2);
const publisher = createClient({ url });
const subscriber = publisher.duplicate();
await Promise.all([publisher.connect(), subscriber.connect()]);

const rooms = new Map();

function join(room, socket) {
  let members = rooms.get(room);
  if (!members) {
    members = new Set();
    rooms.set(room, members);
    members.ready = subscriber.subscribe(`room:${room}`, (text) => {
      for (const member of members) member.send(text);
    });
  }
  members.add(socket);
  socket.rooms.add(room);
  return members.ready;
}

function leave(socket) {
  for (const room of socket.rooms) {
    const members = rooms.get(room);
    members.delete(socket);
    if (members.size === 0) {
      rooms.delete(room);
      subscriber.unsubscribe(`room:${room}`);
    }
  }
}

const server = new WebSocketServer({ port: Number(port), host: "127.0.0.1", path: "/ws", perMessageDeflate: false });
server.on("connection", (socket) => {
  socket.rooms = new Set();
  socket.on("message", async (text) => {
    const { type, room, data } = JSON.parse(text);
    if (type === "join") {
      await join(room, socket);
      socket.send(JSON.stringify({ type: "joined", room }));
    } else if (type === "publish") {
      // A publish that fails, as under overload, is lost; the node goes on.
      publisher.publish(`room:${room}`, JSON.stringify({ type: "message", room, data })).catch(() => {});
    }
  });
  socket.on("close", () => leave(socket));
  socket.on("error", () => {});
});
server.on("listening", () => console.log("listening"));
process.on("SIGTERM", () => process.exit(0));
