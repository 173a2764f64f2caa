// A room's membership: joining and joining again on whatever link, and what the node's frames about
// the room mean. Knows the client only as what asks and sends.
import { pause } from "./backoff.js";
import { Cursor } from "./cursor.js";
import { Emitter } from "./emitter.js";
import { RoomcastError } from "./errors.js";
import type { ErrorFrame, GapFrame, JoinedFrame, Position, ResetFrame, ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import { Loader, type Load } from "./loader.js";
import { MessageIterator } from "./iterate.js";
import { People } from "./people.js";
import { StateMap } from "./state-map.js";
import { askFor, present } from "./tokens.js";
import type { Client } from "./client.js";
import type { Environment, Message, RoomEvents, RoomOptions, RoomStatus } from "./types.js";

// Positions of one's own messages with `echo: false` that may still come back.
const OWN_MESSAGES = 10_000;

export class Membership extends Emitter<RoomEvents> {
  /** @internal */
  _options: RoomOptions | undefined;
  /** @internal */
  _status: RoomStatus = "left";
  /** @internal */
  _cursor = new Cursor();
  /** @internal */
  _state = new StateMap();
  /** @internal */
  readonly _environment: Environment;
  /** @internal */
  readonly _people: People;
  /** @internal */
  readonly _loader: Loader;
  /** @internal */
  readonly _iterators = new Set<MessageIterator>();
  /** @internal */
  readonly _waiters = new Set<{ _resolve: () => void; _reject: (error: RoomcastError) => void }>();
  /** @internal */
  _isWanted = false;
  // Where it is a member, and where it has asked to be one.
  /** @internal */
  _link: Link | undefined;
  /** @internal */
  _joining: { _link: Link; _id?: number } | undefined;
  /** @internal */
  _refusals = 0;
  /** @internal */
  _timer: unknown;
  /** @internal */
  _hasLoaded = false;
  /** @internal */
  readonly _own = new Set<string>();
  // What this connection shows, said again after each rejoin.
  /** @internal */
  _shown: { info?: unknown; status?: "active" | "away" } = {};

  constructor(
    /** @internal */ readonly _client: Client,
    readonly name: string,
  ) {
    super();
    this._environment = _client._environment;
    this._people = new People(this);
    this._loader = new Loader(_client._environment);
  }

  /** @internal */
  _page(page?: string): Promise<ServerFrame> {
    return this._client._requests._ask({ type: "members", room: this.name, ...(page && { page }) });
  }

  /** @internal */
  _isMember(link: Link): boolean {
    return this._link == link;
  }

  /** Whether nothing is to come of joining on this link. @internal */
  _isOn(link: Link): boolean {
    return !this._isWanted || this._link == link;
  }

  /** Begins to be wanted, as somebody who knows nothing. @internal */
  _begin(): void {
    this._isWanted = true;
    this._cursor = new Cursor();
    this._state = new StateMap();
    this._hasLoaded = false;
    this._refusals = 0;
    this._setStatus("joining");
    const link = this._client._joinLink();
    if (link) void this._enter(link);
  }

  /** Joins on this link. Where nothing is to be waited for, `join` is sent before this returns. @internal */
  async _enter(link: Link, isLenient?: boolean): Promise<void> {
    if (!this._isWanted) return;
    const joining: Membership["_joining"] = (this._joining = { _link: link });
    const { load, token, history, presence, since, strict, info } = this._options ?? {};
    const frame: Record<string, unknown> = {};
    try {
      if (load && !this._hasLoaded && !this._cursor._position) {
        const at = await this._loader._run(load);
        if (!at || this._joining !== joining) return;
        this._hasLoaded = true;
        this._cursor = new Cursor(at);
      }
      if (token !== undefined) frame.token = typeof token == "string" ? present(token) : present(await askFor(token));
    } catch (error) {
      if (this._joining !== joining) return;
      if (error instanceof RoomcastError && error.code == "no_token") this._out(error);
      else this._later(link, 0);
      return;
    }
    if (this._joining !== joining) return;
    const from = this._cursor._position ?? since;
    if (from) frame.since = from;
    else if (history !== undefined) frame.history = history;
    if (presence) frame.presence = true;
    if (strict && !isLenient) frame.strict = true;
    const shown = this._shown.info ?? info;
    if (shown !== undefined) frame.info = shown;
    joining._id = this._client._nextId();
    link._send({ type: "join", id: joining._id, room: this.name, ...frame });
  }

  /** @internal */
  _onLost(link: Link): void {
    if (this._joining?._link == link) this._joining = undefined;
    if (this._link != link) return;
    this._link = undefined;
    this._people._lost();
    if (this._status == "joined") this._setStatus("resuming");
  }

  /** The client has ended. @internal */
  _end(error: RoomcastError): void {
    if (this._isWanted) this._out(error, {}, true);
    this._finish(error.code == "closed" ? undefined : error);
  }

  /** The room is left, for whatever reason; `event` is told unless it was the application's. @internal */
  _out(error: RoomcastError, event: RoomEvents["left"] = { code: error.code }, isOwn?: boolean): void {
    this._isWanted = false;
    const wasMember = this._status != "joining";
    this._link = this._joining = undefined;
    this._environment.clearTimeout(this._timer);
    this._loader._stop();
    this._people._left();
    this._client._requests._left(this);
    this._setStatus("left");
    this._waiters.forEach(({ _reject }) => _reject(error));
    this._waiters.clear();
    if (isOwn) return;
    if (wasMember) {
      this._emit("left", event);
      this._finish();
    }
    this._client._answered();
  }

  /** @internal */
  _finish(error?: RoomcastError): void {
    this._iterators.forEach((iterator) => iterator._finish(error));
  }

  /** Whether the error was about this room. @internal */
  _onError(link: Link, { id, room, code, message, retry_after_ms }: ErrorFrame): boolean {
    const joining = this._joining;
    if (!id || joining?._link != link || joining._id != id) {
      if (room != this.name) return false;
      this._emit("error", new RoomcastError(code, message));
      return true;
    }
    if (retry_after_ms !== undefined || code == "bus_unavailable") this._later(link, retry_after_ms ?? 0);
    else if (code == "unrecoverable" && this._options?.load) {
      // The second time the hole is told in place of a third loading.
      if (this._loader._isSecond) void this._enter(link, true);
      else void this._reload();
    } else this._out(new RoomcastError(code, message));
    return true;
  }

  /** @internal */
  _later(link: Link, floorMs: number): void {
    const joining = (this._joining = { _link: link });
    this._timer = this._environment.setTimeout(
      () => this._joining === joining && this._enter(link),
      floorMs + pause(++this._refusals, this._environment.random),
    );
  }

  /** @internal */
  _onFrame(link: Link, frame: ServerFrame): void {
    if (frame.type == "joined") return this._onJoined(link, frame);
    if (link != this._link) return;
    const { _cursor, _people } = this;
    switch (frame.type) {
      case "message": {
        const epoch = _cursor._message(frame.seq);
        if (epoch === undefined) return;
        const key = this._state._message(frame);
        if (key !== undefined) this._tellState([key]);
        _people._arrived(frame.seq);
        if (!this._own.delete(epoch + frame.seq)) this._deliver(Object.assign(frame, { epoch }));
        return;
      }
      case "gap": {
        const from = _cursor._gap(frame.from, frame.to, frame.state);
        const at = _cursor._ahead ?? _cursor._position;
        if (from !== undefined && at) this._onHole({ ...frame, from }, { epoch: at.epoch, seq: frame.to });
        return;
      }
      case "reset":
        _cursor._reset(frame, frame.state);
        return this._onHole(frame, frame);
      case "state":
        if (!frame.id) this._tellState(this._state._part(frame, _cursor._part(frame, frame.more)));
        return;
      case "signal":
      case "receipts":
        return this._emit(frame.type as "signal", fields(frame) as RoomEvents["signal"]);
      case "left":
        // The end of the room's own token is no leave where another can be had.
        if (frame.reason == "expired" && typeof this._options?.token == "function") {
          this._onLost(link);
          void this._enter(link);
        } else this._out(new RoomcastError("not_joined"), { ...(frame.reason && { reason: frame.reason }) });
        return;
      default:
        _people._onFrame(frame, this._options?.presence);
    }
  }

  /** @internal */
  _onJoined(link: Link, frame: JoinedFrame): void {
    const { _joining, _people } = this;
    if (_joining?._link != link || _joining._id != frame.id) return;
    this._joining = undefined;
    this._link = link;
    this._refusals = 0;
    this._cursor._joined(frame, frame.recovered, frame.state);
    if (frame.recovered !== false) this._loader._isSecond = false;
    this._setStatus("joined");
    _people._joined(frame, frame.seq);
    if (_people._list._joined(frame) && this._options?.presence) _people._read(0);
    if (frame.rev !== undefined) _people._tell();
    if (this._shown.status == "away") link._send({ type: "presence", room: this.name, status: "away" });
    this._waiters.forEach(({ _resolve }) => _resolve());
    this._waiters.clear();
    this._client._answered(frame.recovered === false);
  }

  // Something is missing up to `end`: the application reads it by itself, or is told.
  /** @internal */
  _onHole(frame: GapFrame | ResetFrame, end: Position): void {
    this._client._hasHole = true;
    if (this._options?.load && !this._loader._isSecond) {
      if (this._loader._begin({ epoch: end.epoch, seq: end.seq })) void this._reload();
      return;
    }
    this._loader._isSecond = false;
    const told = fields(frame);
    if (!this._has(frame.type)) this._finish(new RoomcastError(frame.type));
    this._emit(frame.type as "gap", told as RoomEvents["gap"]);
    if (frame.type == "gap") this._client._emit("gap", told as RoomEvents["gap"]);
  }

  /** @internal */
  async _reload(): Promise<void> {
    const { _loader } = this;
    const at = await _loader._run(this._options?.load as Load);
    if (!at) return;
    const held = this._link && _loader._finish(at);
    if (held) {
      this._cursor._passed(at);
      held.forEach((message) => this._deliver(message));
      return;
    }
    _loader._stop();
    _loader._isSecond = true;
    this._cursor = new Cursor(at);
    const link = this._link ?? this._joining?._link;
    if (!link) return;
    // A member cannot join: it leaves first, and nothing of the old membership counts any more.
    if (this._link) this._client._requests._askOn(link, { type: "leave", room: this.name }).catch(() => {});
    this._link = undefined;
    void this._enter(link);
  }

  /** @internal */
  _deliver(message: Message): void {
    if (this._loader._hold(message)) return;
    this._iterators.forEach((iterator) => iterator._push(message));
    this._emit("message", message);
  }

  /** @internal */
  _tellState(keys: string[]): void {
    for (const key of keys) {
      const entry = this._state._map._map.get(key);
      this._emit("state", entry ? { key, entry } : { key });
    }
    if (keys.length) this._changed();
  }

  /** A message of one's own that is not to come back. @internal */
  _skip({ epoch, seq }: Position): void {
    this._own.add(epoch + seq);
    for (const oldest of this._own) {
      if (this._own.size <= OWN_MESSAGES) return;
      this._own.delete(oldest);
    }
  }

  /** @internal */
  _setStatus(status: RoomStatus): void {
    this._status = status;
    this._changed();
  }
}

/** A frame without what only the wire needs. */
export function fields<F extends ServerFrame>(frame: F): Omit<F, "type" | "id"> {
  const { type: _, ...rest } = frame as F & { id?: number };
  delete rest.id;
  return rest;
}
