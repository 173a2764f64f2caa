// A room of the fake server: its log, state, members and confirmed positions. Knows no socket but
// as somebody to give frames to.
import type { Frame, FakeSocket } from "./socket.js";

export interface FakeRoomOptions {
  presence?: boolean;
  state?: boolean;
  receipts?: boolean;
}
interface Stored extends Record<string, unknown> {
  seq: number;
  time: number;
  data: unknown;
}
interface FakeMember {
  presence: boolean;
  info?: unknown;
}

export class FakeRoom {
  epoch = "00000000000000e1";
  log: Stored[] = [];
  /** Messages up to here are not kept any more. */
  forgotten = 0;
  rev = 0;
  revEpoch = "00000000000000a1";
  readonly members = new Map<FakeSocket, FakeMember>();
  readonly keys = new Map<string, Stored>();
  readonly values = new Map<string, Stored>();
  readonly marks = new Map<string, { received: number; read: number }>();
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
  publish(data: unknown, fields: Record<string, unknown> = {}, except?: FakeSocket): Stored {
    const message: Stored = { seq: this.seq + 1, time: Date.now(), ...fields, data };
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

  tell(frame: Frame, to: (socket: FakeSocket, member: FakeMember) => boolean = () => true): void {
    for (const [socket, member] of this.members) if (to(socket, member)) socket.give({ ...frame, room: this.name });
  }

  join(socket: FakeSocket, request: Frame): Frame | undefined {
    const since = request.since as { epoch?: string; seq?: number; time?: number } | undefined;
    const mine = this.marks.get(socket.user ?? "");
    let from = since?.seq ?? (since ? this.log.findIndex(({ time }) => time >= (since.time ?? 0)) : this.seq);
    if (from < 0) from = this.seq;
    if (!since && typeof request.history == "number") from = Math.max(this.seq - request.history, this.forgotten);
    const isOther = since?.epoch !== undefined && since.epoch != this.epoch && since.epoch != "0".repeat(16);
    const isResumed = !!since || (!!mine && this.options.receipts && request.history === undefined);
    if (!since && isResumed && mine) from = mine.received;
    const recovered = !isOther && from >= this.forgotten && from <= this.seq;
    if (request.strict && isResumed && !recovered) return { type: "error", code: "unrecoverable", message: "not kept" };
    this.leave(socket, true);
    this.members.set(socket, { presence: !!request.presence, info: request.info });
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
      socket.give({ type: "reset", room: this.name, epoch: this.epoch, seq: this.seq, lost: Math.max(0, from - this.seq) });
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
    if (wasMember && !isQuiet) this.changed("user_left", socket);
    return wasMember;
  }

  snapshot(): Frame[] {
    const entries = [...this.values].map(([key, { seq, time, user, data }]) => ({
      ...(key && { key }),
      seq,
      time,
      ...(user !== undefined && { user }),
      data,
    }));
    const frame = { type: "state", room: this.name, epoch: this.epoch, seq: this.seq };
    const half = Math.ceil(entries.length / 2);
    if (entries.length < 2) return [{ ...frame, entries, more: false }];
    return [
      { ...frame, entries: entries.slice(0, half), more: true },
      { ...frame, entries: entries.slice(half), more: false },
    ];
  }

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
