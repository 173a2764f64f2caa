// A room's membership: joining and joining again on whatever link, and what the node's frames about
// the room mean. Knows the client only as what asks and sends.
import { pause } from "./backoff.js";
import { makeCursor } from "./cursor.js";
import { Emitter } from "./emitter.js";
import { env, type Timer } from "./environment.js";
import { RoomcastError } from "./errors.js";
import { fields, type ErrorFrame, type GapFrame, type JoinedFrame, type Position, type ResetFrame, type ServerFrame } from "./frames.js";
import type { MessageIterator } from "./iterate.js";
import type { Link } from "./link.js";
import { makeLoader } from "./loader.js";
import { makePeople } from "./people.js";
import { makeStateMap } from "./state-map.js";
import { askFor, isNoToken } from "./tokens.js";
import type { Client } from "./client.js";
import type { Message, RoomEvents, RoomOptions, RoomStatus } from "./types.js";

// Positions of one's own messages with `echo: false` that may still come back.
const OWN_MESSAGES = 10_000;

export class Membership extends Emitter<RoomEvents> {
  /** @internal */
  _options: RoomOptions | undefined;
  /** @internal */
  _status: RoomStatus = "left";
  /** @internal */
  _cursor = makeCursor();
  /** @internal */
  _state = makeStateMap();
  /** @internal */
  readonly _people = makePeople(this);
  /** @internal */
  readonly _loader = makeLoader();
  /** @internal */
  readonly _iterators = new Set<MessageIterator>();
  // Each is called once: with an error, or when the room is joined.
  /** @internal */
  readonly _waiters = new Set<(error?: RoomcastError) => void>();
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
  _timer: Timer | undefined;
  // Whether it was joined by a position that was loaded because of a hole, and no answer has come.
  /** @internal */
  _isSecond = false;
  /** @internal */
  readonly _own = new Set<string>();
  // What this connection shows, said again after each rejoin.
  /** @internal */
  _shown: { info?: unknown; status?: "active" | "away" } = {};
  /** @internal */
  readonly _client: Client;
  readonly name: string;

  /** @internal */
  constructor(client: Client, name: string) {
    super();
    this._client = client;
    this.name = name;
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
    this._isSecond = false;
    this._cursor = makeCursor();
    this._state = makeStateMap();
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
    let roomToken: string | undefined;
    try {
      if (load && !this._cursor._position()) {
        const at = await this._loader._run(load);
        if (!at || this._joining != joining) return;
        this._cursor = makeCursor(at);
      }
      if (token !== undefined) roomToken = await askFor(token);
    } catch (error) {
      if (this._joining != joining) return;
      if (isNoToken(error)) this._out(error);
      else this._enterLater(link);
      return;
    }
    if (this._joining != joining) return;
    const from = this._cursor._position() ?? since;
    const shown = this._shown.info ?? info;
    link._send({
      type: "join",
      id: (joining._id = this._client._nextId()),
      room: this.name,
      ...(from ? { since: from } : history !== undefined && { history }),
      ...(presence && { presence }),
      ...(strict && !isLenient && { strict }),
      ...(shown !== undefined && { info: shown }),
      ...(roomToken && { token: roomToken }),
    });
  }

  /** @internal */
  _enterLater(link: Link, floorMs = 0): void {
    const joining = (this._joining = { _link: link });
    this._timer = env._later(() => {
      if (this._joining == joining) void this._enter(link);
    }, floorMs + pause(++this._refusals));
  }

  /** @internal */
  _onLost(link: Link): void {
    if (this._joining?._link == link) this._joining = undefined;
    if (this._link != link) return;
    this._link = undefined;
    this._people._lost();
    this._setStatus("resuming");
  }

  /** The client has ended. @internal */
  _end(error: RoomcastError): void {
    if (this._isWanted) this._out(error, undefined);
    this._finish(error.code == "closed" ? undefined : error);
  }

  /** The room is left, for whatever reason; `event` is told, unless it was the application's wish. @internal */
  _out(error: RoomcastError, event: RoomEvents["left"] | undefined = { code: error.code }, isOwn?: boolean): void {
    const isTold = !isOwn && this._status != "joining";
    this._isWanted = false;
    this._link = this._joining = undefined;
    env._cancel(this._timer);
    this._loader._stop();
    this._people._left();
    this._client._requests._left(this);
    this._setStatus("left");
    this._answer(error);
    if (isTold) {
      this._emit("left", event);
      this._finish();
    }
    this._client._answered();
  }

  /** @internal */
  _answer(error?: RoomcastError): void {
    this._waiters.forEach((waiter) => waiter(error));
    this._waiters.clear();
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
    } else if (retry_after_ms !== undefined || code == "bus_unavailable") this._enterLater(link, retry_after_ms);
    else if (code == "unrecoverable" && this._options?.load) {
      // The second time the hole is told, in place of a third loading.
      if (this._isSecond) void this._enter(link, true);
      else void this._reload();
    } else this._out(new RoomcastError(code, message));
    return true;
  }

  /** @internal */
  _onFrame(link: Link, frame: ServerFrame): void {
    if (frame.type == "joined") return this._onJoined(link, frame);
    if (link != this._link) return;
    const { _cursor, _people, _state } = this;
    switch (frame.type) {
      case "message": {
        const epoch = _cursor._message(frame.seq);
        if (epoch === undefined) return;
        this._tellState(_state._message(frame));
        _people._arrived(frame.seq);
        if (!this._own.delete(epoch + frame.seq)) this._deliver(Object.assign(frame, { epoch }));
        return;
      }
      case "gap": {
        const gap = _cursor._gap(frame.from, frame.to, frame.state);
        if (gap) this._onHole({ ...frame, from: gap._from }, gap._end);
        return;
      }
      case "reset":
        _cursor._reset(frame, frame.state);
        return this._onHole(frame, frame);
      case "state":
        return this._tellState(_state._part(frame, _cursor._part(frame, frame.more)));
      case "signal":
        return this._emit("signal", fields(frame));
      case "receipts":
        return this._emit("receipts", fields(frame));
      case "left":
        // The end of the room's own token is no leave where another can be had.
        if (frame.reason == "expired" && typeof this._options?.token == "function") {
          this._onLost(link);
          void this._enter(link);
        } else this._out(new RoomcastError("not_joined"), frame.reason ? { reason: frame.reason } : {});
        return;
      default:
        _people._onFrame(frame, this._options?.presence);
    }
  }

  /** @internal */
  _onJoined(link: Link, frame: JoinedFrame): void {
    const { _joining } = this;
    if (_joining?._link != link || _joining._id != frame.id) return;
    const isComplete = frame.recovered !== false;
    this._joining = undefined;
    this._link = link;
    this._refusals = 0;
    this._cursor._joined(frame, frame.recovered, frame.state);
    if (isComplete) this._isSecond = false;
    this._setStatus("joined");
    this._people._joined(frame, this._options?.presence);
    if (this._shown.status == "away") link._send({ type: "presence", room: this.name, status: "away" });
    this._answer();
    this._client._answered(!isComplete);
  }

  // Something is missing up to `end`: the application reads it by itself, or is told.
  /** @internal */
  _onHole(frame: GapFrame | ResetFrame, { epoch, seq }: Position): void {
    this._client._hasHole = true;
    if (this._options?.load && !this._isSecond) {
      if (this._loader._begin({ epoch, seq })) void this._reload();
      return;
    }
    this._isSecond = false;
    if (!this._has(frame.type)) this._finish(new RoomcastError(frame.type));
    if (frame.type == "reset") return this._emit("reset", fields(frame));
    this._emit("gap", fields(frame));
    this._client._emit("gap", fields(frame));
  }

  /** @internal */
  async _reload(): Promise<void> {
    const { _loader, _options, _client } = this;
    const at = _options?.load && (await _loader._run(_options.load));
    if (!at) return;
    const kept = _loader._finish(at);
    if (kept) {
      this._cursor._passed(at);
      return kept.forEach((message) => this._deliver(message));
    }
    this._isSecond = true;
    this._cursor = makeCursor(at);
    const member = this._link;
    const link = member ?? this._joining?._link;
    this._link = undefined;
    if (!link) return;
    // A member cannot join: it leaves first, and nothing of the old membership counts any more.
    if (member) _client._requests._ask({ type: "leave", room: this.name }, undefined, link).catch(() => {});
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
    // A set is in the order of adding: the first is the oldest.
    if (this._own.size > OWN_MESSAGES) for (const oldest of this._own) return void this._own.delete(oldest);
  }

  /** @internal */
  _setStatus(status: RoomStatus): void {
    this._status = status;
    this._changed();
  }
}
