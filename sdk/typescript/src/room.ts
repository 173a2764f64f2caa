// The handle of a room: what an application calls. What comes of it is the membership's.
import { RoomcastError } from "./errors.js";
import { randomName } from "./environment.js";
import { iterate, type MessageIterator } from "./iterate.js";
import { Membership } from "./membership.js";
import { fields, type Position, type PresenceFrame, type PresenceStatus, type ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import type {
  HistoryPage,
  Member,
  MemberPage,
  Message,
  Published,
  PublishOptions,
  ReadMarks,
  RoomStatus,
  StateEntry,
} from "./types.js";

export class Room extends Membership implements AsyncIterable<Message> {
  get status(): RoomStatus {
    return this._status;
  }
  /** How far the room is read: what to resume from. */
  get position(): Position | undefined {
    return this._cursor._position();
  }
  /** The values of a state room; `""` is the room's own. */
  get state(): ReadonlyMap<string, StateEntry> {
    return this._state._map._read();
  }
  /** The users in the room, with the option `presence`. */
  get members(): ReadonlyMap<string, Member> {
    return this._people._list()._map._read();
  }
  get count(): number | undefined {
    return this._people._list()._count;
  }
  get users(): number | undefined {
    return this._people._list()._users;
  }
  get unread(): number {
    return this._people._marks().unread;
  }
  get read(): number {
    return this._people._marks().read;
  }

  /** Resolves when the node has taken the membership. */
  join({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const error = signal?.aborted ? new RoomcastError("aborted") : this._client._start();
      if (error) return reject(error);
      if (this._status == "joined") return resolve();
      const settle = (error?: RoomcastError) => {
        signal?.removeEventListener("abort", abort);
        if (error) reject(error);
        else resolve();
      };
      const abort = () => {
        this._waiters.delete(settle);
        settle(new RoomcastError("aborted"));
        if (!this._waiters.size && this._status == "joining") void this.leave();
      };
      signal?.addEventListener("abort", abort);
      this._waiters.add(settle);
      if (!this._isWanted) this._begin();
    });
  }

  /** Resolves when nothing of the room comes any more. */
  async leave(): Promise<void> {
    if (!this._isWanted) return;
    const links = new Set([this._link, this._joining?._id && this._joining._link]);
    this._out(new RoomcastError("aborted"), undefined, true);
    this._finish();
    await Promise.all([...links].map((link) => link && this._ask({ type: "leave" }, undefined, link).catch(() => {})));
  }

  /** Resolves when the message is kept, with its place. Sent again until the node answers surely. */
  publish(data: unknown, options: PublishOptions = {}): Promise<Published> {
    const { event, key, ifSeq, ifKeySeq, stateKey, ttlMs, remove, receipts, echo, signal } = options;
    return new Promise((resolve, reject) => {
      const error = this._client._start();
      if (error) return reject(error);
      const condition = ifSeq ?? ifKeySeq;
      const epoch = typeof condition == "object" ? condition.epoch : this.position?.epoch;
      if (condition !== undefined && !epoch) {
        return reject(new RoomcastError("no_position"));
      }
      const frame = {
        type: "publish",
        room: this.name,
        event,
        key: key ?? randomName(),
        if_seq: seqOf(ifSeq),
        if_key_seq: seqOf(ifKeySeq),
        epoch: condition === undefined ? undefined : epoch,
        state_key: stateKey,
        ttl_ms: ttlMs,
        remove: remove || undefined,
        receipts: receipts || undefined,
        echo: echo === false ? false : undefined,
        data: data === undefined ? null : data,
      };
      const done = (published: Published) => {
        if (echo === false) this._skip(published);
        resolve(published);
      };
      try {
        this._client._publish({ _room: this.name, _signal: signal, _done: done, _failed: reject }, frame);
      } catch (error) {
        reject(new RoomcastError("bad_data", String(error)));
      }
    });
  }

  /** To those who are there now; dropped offline. */
  signal(event: string, data?: unknown): void {
    this._link?._send({ type: "signal", room: this.name, event, data });
  }

  /** The user is writing: to be called at each key. Dropped offline. */
  typing(active = true): void {
    if (this._link && this._people._isToTell(active)) {
      this._link._send({ type: "typing", room: this.name, ...(!active && { active }) });
    }
  }

  /** The user has received everything up to here, or read it, on all devices. */
  async received({ epoch, seq }: Message | Position, read = false): Promise<ReadMarks> {
    await this._ask({ type: "received", epoch, seq, ...(read && { read }) }, this);
    return this._people._marks();
  }

  /** A page of the room's messages; moves no position. */
  async history(options: { before?: number; after?: number; limit?: number } = {}): Promise<HistoryPage> {
    return answer(await this._ask({ ...options, type: "history" }), "history");
  }

  /** A page of the room's members, with the connections. */
  async list(options: { page?: string } = {}): Promise<MemberPage> {
    return answer(await this._ask({ ...options, type: "members" }), "members");
  }

  /** Changes what other members see of this one, also after a reconnect. */
  async presence(change: { info?: unknown; status?: PresenceStatus }): Promise<Omit<PresenceFrame, "type" | "id">> {
    const frame = await this._ask({ ...change, type: "presence" }, this);
    this._shown = { ...this._shown, ...change };
    return answer(frame, "presence");
  }

  /** The messages from now on. Ends by `leave` and `close`; throws `gap` or `reset` where nobody listens for them. */
  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    const iterator: MessageIterator = iterate((ended) => this._iterators.delete(ended));
    this._iterators.add(iterator);
    if (this._client._error) this._end(this._client._error);
    return iterator;
  }

  /** @internal */
  async _ask(frame: { type: string } & Record<string, unknown>, member?: Membership, link?: Link): Promise<ServerFrame> {
    const error = member && !this._isWanted ? new RoomcastError("not_joined") : this._client._start();
    if (error) throw error;
    return this._client._requests._ask({ ...frame, room: this.name }, member, link);
  }
}

function answer<T extends ServerFrame["type"]>(frame: ServerFrame, type: T): Omit<ServerFrame & { type: T }, "type" | "id"> {
  if (frame.type != type) throw new RoomcastError("internal");
  return fields(frame as ServerFrame & { type: T });
}

function seqOf(condition: Position | number | undefined): number | undefined {
  return typeof condition == "object" ? condition.seq : condition;
}
