// The handle of a room: what an application calls. What comes of it is the membership's.
import { RoomcastError } from "./errors.js";
import { MessageIterator } from "./iterate.js";
import { fields, Membership } from "./membership.js";
import type { RoomApi } from "./api.js";
import type { HistoryFrame, MembersFrame, Position, PresenceFrame, PresenceStatus } from "./frames.js";
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
import { randomName } from "./environment.js";

export class Room extends Membership implements RoomApi {
  // Confirmations on their way, one of each kind; a later one waits for it and takes the furthest.
  /** @internal */
  readonly _confirming = new Map<boolean, { _at: Position; _answer: Promise<ReadMarks>; _isSent?: boolean }>();

  get status(): RoomStatus {
    return this._status;
  }
  /** How far the room is read: what to resume from. */
  get position(): Position | undefined {
    return this._cursor._position;
  }
  /** The values of a state room; `""` is the room's own. */
  get state(): ReadonlyMap<string, StateEntry> {
    return this._state._map._read();
  }
  /** The users in the room, with the option `presence`. */
  get members(): ReadonlyMap<string, Member> {
    return this._people._list._map._read();
  }
  get count(): number | undefined {
    return this._people._list._count;
  }
  get users(): number | undefined {
    return this._people._list._users;
  }
  get unread(): number {
    return this._people._marks.unread;
  }
  get read(): number {
    return this._people._marks.read;
  }

  /** Resolves when the node has taken the membership. */
  join({ signal }: { signal?: AbortSignal } = {}): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const error = signal?.aborted ? new RoomcastError("aborted") : this._client._start();
      if (error) return reject(error);
      if (this._status == "joined") return resolve();
      const end = () => signal?.removeEventListener("abort", abort);
      const waiter = {
        _resolve: () => (end(), resolve()),
        _reject: (error: RoomcastError) => (end(), reject(error)),
      };
      const abort = () => {
        this._waiters.delete(waiter);
        waiter._reject(new RoomcastError("aborted"));
        if (!this._waiters.size && this._status == "joining") void this.leave();
      };
      signal?.addEventListener("abort", abort);
      this._waiters.add(waiter);
      if (!this._isWanted) this._begin();
    });
  }

  /** Resolves when nothing of the room comes any more. */
  async leave(): Promise<void> {
    if (!this._isWanted) return;
    const links = new Set([this._link, this._joining?._id && this._joining._link]);
    this._out(new RoomcastError("aborted", "the room was left"), {}, true);
    this._finish();
    await Promise.all(
      [...links].map((link) => link && this._client._requests._askOn(link, { type: "leave", room: this.name }).catch(() => {})),
    );
    this._client._answered();
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
        return reject(new RoomcastError("no_position", "a number is one of the room's epoch: join first"));
      }
      const frame = {
        type: "publish",
        room: this.name,
        event,
        key: key ?? randomName(this._environment.random),
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
  received({ epoch, seq }: Message | Position, read = false): Promise<ReadMarks> {
    const before = this._confirming.get(read);
    const at = { epoch, seq };
    if (before && !before._isSent) {
      if (before._at.epoch != epoch || before._at.seq < seq) before._at = at;
      return before._answer;
    }
    const confirming: NonNullable<typeof before> = { _at: at, _answer: this._confirm(read, () => confirming, before?._answer) };
    this._confirming.set(read, confirming);
    return confirming._answer;
  }

  async history(options: { before?: number; after?: number; limit?: number } = {}): Promise<HistoryPage> {
    return fields((await this._ask({ type: "history", ...options })) as HistoryFrame);
  }

  async list(options: { page?: string } = {}): Promise<MemberPage> {
    return fields((await this._ask({ type: "members", ...options })) as MembersFrame);
  }

  /** Changes what other members see of this one, also after a reconnect. */
  async presence(change: { info?: unknown; status?: PresenceStatus }): Promise<Omit<PresenceFrame, "type" | "id">> {
    const answer = await this._ask({ type: "presence", ...change }, true);
    this._shown = { ...this._shown, ...change };
    return fields(answer as PresenceFrame);
  }

  /** The messages from now on. Ends by `leave` and `close`; throws `gap` or `reset` where nobody listens for them. */
  [Symbol.asyncIterator](): MessageIterator {
    const iterator = new MessageIterator((ended) => this._iterators.delete(ended));
    if (this._client._error) iterator._finish(this._client._error);
    else this._iterators.add(iterator);
    return iterator;
  }

  /** @internal */
  async _confirm(read: boolean, confirming: () => { _at: Position; _isSent?: boolean }, before?: Promise<unknown>): Promise<ReadMarks> {
    // Those that are called in one turn are asked as one.
    await before?.catch(() => {});
    await undefined;
    const mine = confirming();
    mine._isSent = true;
    try {
      await this._ask({ type: "received", ...mine._at, ...(read && { read }) }, true);
      return this._people._marks;
    } finally {
      if (this._confirming.get(read) === mine) this._confirming.delete(read);
    }
  }

  /** @internal */
  async _ask(frame: { type: string } & Record<string, unknown>, isMembers?: boolean) {
    const error = this._client._start() ?? (isMembers && !this._isWanted ? new RoomcastError("not_joined") : undefined);
    if (error) throw error;
    return this._client._requests._ask({ ...frame, room: this.name }, isMembers ? this : undefined);
  }
}

function seqOf(condition: Position | number | undefined): number | undefined {
  return typeof condition == "object" ? condition.seq : condition;
}
