// A room of the fake server: its log, state, members and confirmed positions. Knows no socket but
// as somebody to give frames to.
import type { Frame, FakeSocket } from "./socket.js";

/** What a room of the fake server can do: all off if not given. */
export interface FakeRoomOptions {
  presence?: boolean;
  state?: boolean;
  /** Of a room with state: the last so many values of a key are its `points` in a snapshot. */
  points?: number;
  receipts?: boolean;
}
/** A message that a room of the fake server keeps, with the fields of its frame. */
export interface FakeMessage extends Record<string, unknown> {
  seq: number;
  time: number;
  data: unknown;
}
/** What a room of the fake server knows of a connection that is a member. */
export interface FakeMember {
  presence: boolean;
  info?: unknown;
  status: "active" | "away";
}

/** A room of the fake server, to be had by `server.room(name)`. */
export class FakeRoom {
  epoch = "00000000000000e1";
  log: FakeMessage[] = [];
  /** Messages up to here are not kept any more. */
  forgotten = 0;
  rev = 0;
  revEpoch = "00000000000000a1";
  readonly members = new Map<FakeSocket, FakeMember>();
  /** @internal Messages by their author and `key`. */
  readonly keys = new Map<string, FakeMessage>();
  readonly values = new Map<string, FakeMessage>();
  readonly marks = new Map<string, { received: number; read: number }>();
  /** @internal Whose messages somebody wants to hear of, by seq. */
  readonly watched = new Map<number, FakeSocket>();
  /** Up to where each epoch that was left is part of the present one. */
  private readonly shared = new Map<string, number>();
  private readonly typists = new Map<string, ReturnType<typeof setTimeout>>();
  private epochs = 1;

  constructor(
    readonly name: string,
    readonly options: FakeRoomOptions,
  ) {}

  get seq(): number {
    return this.log.length;
  }

  get counts() {
    const users = new Set([...this.members.keys()].map(({ user }) => user).filter(Boolean)).size;
    const { rev, revEpoch: rev_epoch } = this;
    return this.options.presence ? { count: this.members.size, users, rev, rev_epoch } : {};
  }

  /** Publishes as somebody else would: a backend, another client. */
  publish(data: unknown, fields: Record<string, unknown> = {}, except?: FakeSocket): FakeMessage {
    const message: FakeMessage = { seq: this.seq + 1, time: Date.now(), ...fields, data };
    this.log.push(message);
    if (this.options.state) {
      const key = String(fields.state_key ?? "");
      if (fields.remove) this.values.delete(key);
      else this.values.set(key, message);
    }
    this.tell({ type: "message", ...message }, (socket) => socket != except);
    return message;
  }

  /** Keeps nothing up to this seq. */
  forget(seq: number): void {
    this.forgotten = Math.max(this.forgotten, seq);
  }

  /** Goes on in another epoch that lacks the last messages. */
  reset(lost = 0): void {
    this.log.length -= Math.min(lost, this.seq);
    this.forgotten = Math.min(this.forgotten, this.seq);
    this.shared.set(this.epoch, this.seq);
    for (const [epoch, seq] of this.shared) this.shared.set(epoch, Math.min(seq, this.seq));
    this.epoch = (0xe1 + this.epochs++).toString(16).padStart(16, "0");
    this.tell({ type: "reset", epoch: this.epoch, seq: this.seq, lost });
  }

  /** Tells members that messages are missing, and has them skip these. */
  gap(count: number, more: Record<string, unknown> = {}): void {
    const from = this.seq + 1;
    for (let index = 0; index < count; index++) this.log.push({ seq: this.seq + 1, time: 0, data: null });
    this.forget(this.seq);
    this.tell({ type: "gap", from, to: this.seq, ...more });
  }

  /** Gives a frame to the members, or to those for whom `to` is true. */
  tell(frame: Frame, to: (socket: FakeSocket, member: FakeMember) => boolean = () => true): void {
    for (const [socket, member] of this.members) if (to(socket, member)) socket.give({ ...frame, room: this.name });
  }

  /** @internal Answers a `join`; returns the error where it refuses. */
  join(socket: FakeSocket, request: Frame): Frame | undefined {
    const since = request.since as { epoch?: string; seq?: number; time?: number } | undefined;
    const mine = this.marks.get(socket.user ?? "");
    let from = since?.seq ?? (since ? this.log.findIndex(({ time }) => time >= (since.time ?? 0)) : this.seq);
    if (from < 0) from = this.seq;
    if (!since && typeof request.history == "number") from = Math.max(this.seq - request.history, this.forgotten);
    const shared = this.shared.get(since?.epoch ?? "") ?? 0;
    const isOther = since?.epoch !== undefined && since.epoch != this.epoch && since.epoch != "0".repeat(16) && from > shared;
    const isResumed = !!since || (!!mine && this.options.receipts && request.history === undefined);
    if (!since && isResumed && mine) from = mine.received;
    const recovered = !isOther && from >= this.forgotten && from <= this.seq;
    if (request.strict && isResumed && !recovered) return { type: "error", code: "unrecoverable", message: "not kept" };
    this.leave(socket, true);
    this.members.set(socket, { presence: !!request.presence, info: request.info, status: "active" });
    this.changed("user_joined", socket, request.info);
    const isSnapshot = this.options.state && !since;
    const seq = isOther ? this.seq : recovered && isResumed ? from : isResumed ? from : isSnapshot ? this.seq : from;
    socket.give({
      type: "joined",
      id: request.id,
      room: this.name,
      epoch: this.epoch,
      seq,
      ...(isResumed && { recovered }),
      ...(isSnapshot && { state: true }),
      ...this.counts,
      ...(this.options.receipts && socket.user && this.marksOf(socket.user)),
    });
    if (isSnapshot) {
      for (const frame of this.snapshot()) socket.give(frame);
      return;
    }
    if (isOther) {
      socket.give({ type: "reset", room: this.name, epoch: this.epoch, seq: this.seq, lost: from - shared });
      return;
    }
    if (!recovered) socket.give({ type: "gap", room: this.name, from: from + 1, to: this.forgotten });
    for (const message of this.log.slice(Math.max(from, this.forgotten))) {
      socket.give({ type: "message", room: this.name, ...message });
    }
    return;
  }

  /** Whether the socket was a member. */
  leave(socket: FakeSocket, isQuiet = false): boolean {
    const wasMember = this.members.delete(socket);
    const typist = socket.user ?? socket.connection;
    if (wasMember) clearTimeout(this.typists.get(typist));
    if (wasMember) this.typists.delete(typist);
    if (wasMember && !isQuiet) this.changed("user_left", socket);
    return wasMember;
  }

  /** @internal The state in one frame or two. */
  snapshot(): Frame[] {
    const { points } = this.options;
    const entries = [...this.values].map(([key, { seq, time, user, data }]) => ({
      ...(key && { key }),
      seq,
      time,
      ...(user !== undefined && { user }),
      data,
      ...(points && { points: this.pointsOf(key).slice(-points) }),
    }));
    const frame = { type: "state", room: this.name, epoch: this.epoch, seq: this.seq };
    const half = Math.ceil(entries.length / 2);
    if (entries.length < 2) return [{ ...frame, entries, more: false }];
    return [
      { ...frame, entries: entries.slice(0, half), more: true },
      { ...frame, entries: entries.slice(half), more: false },
    ];
  }

  private pointsOf(key: string) {
    const points: { seq: number; time: number; data: unknown }[] = [];
    for (const { state_key = "", remove, seq, time, data } of this.log) {
      if (state_key != key) continue;
      if (remove) points.length = 0;
      else points.push({ seq, time, data });
    }
    return points;
  }

  /** @internal What a user shows: away if all its connections are. */
  statusOf(user: string): "active" | "away" {
    const mine = [...this.members].filter(([socket]) => socket.user == user);
    return mine.every(([, { status }]) => status == "away") ? "away" : "active";
  }

  /** @internal Somebody types: told once, and ended 3 s after the last word. */
  type(socket: FakeSocket, active: boolean): void {
    const { user, connection } = socket;
    const name = user ?? connection;
    const known = this.typists.get(name);
    const tell = (active: boolean) =>
      this.tell({ type: "typing", ...(user === undefined ? { connection } : { user }), active }, (other) => other != socket && (user === undefined || other.user != user));
    clearTimeout(known);
    this.typists.delete(name);
    if (active) this.typists.set(name, setTimeout(() => this.type(socket, false), 3000));
    if (active != (known !== undefined)) tell(active);
  }

  /** @internal Tells authors who asked for it how many users have received and read their messages. */
  tellReceipts(): void {
    for (const [seq, author] of this.watched) {
      const count = (name: "received" | "read") => [...this.marks.values()].filter((marks) => marks[name] >= seq).length;
      author.give({ type: "receipts", room: this.name, epoch: this.epoch, seq, received: count("received"), read: count("read") });
    }
  }

  /** @internal How far a user has received and read. */
  marksOf(user: string) {
    const { received, read } = this.marks.get(user) ?? { received: 0, read: 0 };
    return { received, read, unread: Math.min(this.seq - read, this.seq - this.forgotten) };
  }

  private changed(type: "user_joined" | "user_left", socket: FakeSocket, info?: unknown): void {
    const { user } = socket;
    const others = [...this.members.keys()].some((other) => other != socket && other.user == user);
    if (!this.options.presence || !user || others) return;
    this.rev++;
    const { count, users, rev } = this.counts;
    this.tell(
      { type, user, ...(info !== undefined && { info }), time: Date.now(), count, users, rev },
      (other, member) => member.presence && other.user != user,
    );
  }
}
