// What the fake server answers to each frame. Everything is answered at once and in order.
import type { FakeServer } from "./server.js";
import type { FakeSocket, Frame } from "./socket.js";

const NEVER = "0".repeat(16);

export function answer(server: FakeServer, socket: FakeSocket, frame: Frame): void {
  const { id } = frame;
  const give = (answer: Frame) => socket.give(id === undefined ? answer : { ...answer, id });
  const refuse = (code: string, room?: unknown) => give({ type: "error", code, message: code, ...(room !== undefined && { room }) });
  if (frame.type == "ping") return give({ type: "pong", time: Date.now() });
  if (frame.type == "refresh") {
    const identity = server.authenticate?.(String(frame.token));
    if (!identity || "status" in identity || identity.user != socket.user) return refuse("bad_token");
    const time = Date.now();
    return give({ type: "refreshed", time, expires: time + (identity.lifeMs ?? 3_600_000) });
  }
  if (frame.type == "join" && Array.isArray(frame.rooms)) {
    for (const one of frame.rooms as Frame[]) answer(server, socket, { ...one, type: "join", id });
    return;
  }
  if (typeof frame.room != "string") return refuse("bad_frame");
  const room = server.room(frame.room);
  const member = room.members.get(socket);
  switch (frame.type) {
    case "join": {
      if (member) return refuse("already_joined", room.name);
      const refusal = room.join(socket, frame);
      if (refusal) give({ ...refusal, room: room.name });
      return;
    }
    case "leave":
      if (!room.leave(socket)) return refuse("not_joined", room.name);
      return give({ type: "left", room: room.name });
    case "publish":
      return publish(server, socket, frame);
    case "signal":
    case "typing": {
      if (!member) return refuse("not_joined", room.name);
      if (frame.type == "typing") return room.type(socket, frame.active !== false);
      const author = { ...(socket.user !== undefined && { user: socket.user }), connection: socket.connection };
      return room.tell({ type: "signal", ...author, event: frame.event, data: frame.data }, (other) => other != socket);
    }
    case "history": {
      const { after, before, limit = 50 } = frame as { after?: number; before?: number; limit?: number };
      const kept = room.log.slice(room.forgotten).filter(({ seq }) => seq > (after ?? 0) && seq < (before ?? Infinity));
      const messages = after === undefined ? kept.slice(-limit) : kept.slice(0, limit);
      const epoch = room.seq ? room.epoch : NEVER;
      return give({ type: "history", room: room.name, epoch, messages, more: messages.length < kept.length });
    }
    case "members": {
      if (!room.options.presence) return refuse("unsupported", room.name);
      const members = [...room.members].map(([{ connection, user }, { info }]) => ({
        connection,
        ...(user !== undefined && { user, status: room.statusOf(user) }),
        ...(info !== undefined && { info }),
      }));
      return give({ type: "members", room: room.name, members, ...room.counts });
    }
    case "presence": {
      if (!member) return refuse("not_joined", room.name);
      const { user } = socket;
      room.rev++;
      if (frame.info !== undefined) member.info = frame.info;
      const { status: given } = frame;
      if (given === "active" || given === "away") member.status = given;
      const shown = { ...(user !== undefined && { user }), ...(member.info !== undefined && { info: member.info }), rev: room.rev };
      const status = user === undefined ? member.status : room.statusOf(user);
      room.tell({ type: "presence", ...shown, status }, (other, { presence }) => presence && other != socket);
      return give({ type: "presence", room: room.name, ...shown, status: member.status });
    }
    case "received": {
      if (!member) return refuse("not_joined", room.name);
      if (!room.options.receipts || socket.user === undefined) return refuse("unsupported", room.name);
      if (frame.epoch != room.epoch) return refuse("seq_conflict", room.name);
      const mine = room.marks.get(socket.user) ?? { received: 0, read: 0 };
      const seq = Math.min(Number(frame.seq), room.seq);
      mine.received = Math.max(mine.received, seq);
      if (frame.read) mine.read = Math.max(mine.read, seq);
      room.marks.set(socket.user, mine);
      const confirmed = { type: "received", epoch: room.epoch, seq: mine.received, read: mine.read };
      room.tell(confirmed, (other) => other != socket && other.user == socket.user);
      give({ ...confirmed, room: room.name });
      return room.tellReceipts();
    }
    default:
      return refuse("unknown_type");
  }
}

function publish(server: FakeServer, socket: FakeSocket, frame: Frame): void {
  const { id, data, key, echo, if_seq, if_key_seq, epoch, receipts, type: _, ...fields } = frame;
  const room = server.room(String(fields.room));
  const refuse = (code: string) => socket.give({ type: "error", id, room: room.name, code, message: code });
  const ack = ({ seq, time }: { seq: number; time: number }) => {
    if (id !== undefined) socket.give({ type: "ack", id, room: room.name, epoch: room.epoch, seq, time });
  };
  const scope = `${socket.user ?? socket.url.searchParams.get("client") ?? ""}/${String(key)}`;
  const known = key === undefined ? undefined : room.keys.get(scope);
  if (known) return JSON.stringify(known.data) == JSON.stringify(data) ? ack(known) : refuse("key_conflict");
  if (fields.state_key !== undefined && !room.options.state) return refuse("unsupported");
  const isLive = epoch == room.epoch || (epoch == NEVER && !room.seq);
  const value = room.values.get(String(fields.state_key ?? ""))?.seq ?? 0;
  if ((if_seq !== undefined && !(isLive && if_seq == room.seq)) || (if_key_seq !== undefined && !(isLive && if_key_seq == value))) {
    return refuse("seq_conflict");
  }
  delete fields.room;
  const author = { ...(socket.user !== undefined && { user: socket.user }), connection: socket.connection };
  const stored = room.publish(data, { ...author, ...fields }, echo === false ? socket : undefined);
  if (key !== undefined) room.keys.set(scope, stored);
  if (receipts && room.options.receipts) room.watched.set(stored.seq, socket);
  ack(stored);
}
