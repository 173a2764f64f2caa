// The client's way to a socket and from one to the next: attempts, pauses, the reason of a failure,
// final codes, planned moves. Knows of rooms only whether all are on a link.
import { pause } from "./backoff.js";
import { RoomcastError } from "./errors.js";
import type { ServerFrame } from "./frames.js";
import { Link } from "./link.js";
import { probe } from "./probe.js";
import type { Tokens } from "./tokens.js";
import type { ClientEvents, ClientOptions, ClientState, Encoding, Environment, SocketClass } from "./types.js";

const STEADY_AFTER_MS = 5e3;
const MOVE_TIMEOUT_MS = 5e3;
const PROBE_INTERVAL_MS = 3e4;
const IDLE = 4002;
const EXPIRED = 4100;
const REPLACED = 4503;
// What the node says of these in its Close frame, should a proxy have taken the text away.
const REASONS: Record<number, string> = {
  1002: "protocol",
  1003: "unsupported",
  1007: "bad_utf8",
  1008: "policy",
  1009: "too_big",
  4501: "banned",
  4502: "disconnected",
  [REPLACED]: "replaced",
};
const FINAL_PROBLEMS = ["no_token", "bad_token", "bad_origin", "banned"];

export interface ConnectorOwner {
  readonly _environment: Environment;
  readonly _tokens: Tokens;
  readonly _options: ClientOptions;
  readonly _encoding: Encoding;
  readonly _state: ClientState;
  _address(tries: number): string;
  _socketClass(): SocketClass | undefined;
  _nextId(): number;
  _setState(state: ClientState): void;
  _emit<K extends keyof ClientEvents>(name: K, event: ClientEvents[K]): void;
  _fail(error: RoomcastError): void;
  _onFrame(link: Link, frame: ServerFrame): void;
  /** The node has said `connected` on the link that counts, or on the one beside it. */
  _onLive(link: Link): void;
  /** Nothing more comes on this link, nor is anything answered. */
  _onLost(link: Link): void;
  /** Another link counts now. */
  _onMoved(): void;
  /** Whether every room is on this link. */
  _isOn(link: Link): boolean;
}

export class Connector {
  /** The link that counts. */
  _link: Link | undefined;
  /** The one beside it, of a planned move. */
  _next: Link | undefined;
  /** @internal */
  _failures = 0;
  /** @internal */
  _tries = 0;
  /** @internal */
  _attempt = 0;
  /** @internal */
  _probed = -Infinity;
  /** @internal */
  _hasRenewed = false;
  // No attempt before this, whatever wakes the client.
  /** @internal */
  _notBefore = 0;
  // What is under way: an attempt or a question about one. Another takes its place.
  /** @internal */
  _dialing: object | undefined;
  /** @internal */
  _timer: unknown;
  /** @internal */
  _moveTimer: unknown;

  constructor(
    /** @internal */ readonly _owner: ConnectorOwner,
  ) {}

  /** Opens a socket: the one that counts, or one beside it. */
  async _dial(isMove?: boolean): Promise<void> {
    const owner = this._owner;
    const dialing = (this._dialing = {});
    this._timer = undefined;
    let token: string | undefined;
    try {
      token = owner._tokens._isGiven ? await owner._tokens._get() : undefined;
    } catch (error) {
      if (this._dialing !== dialing) return;
      if (error instanceof RoomcastError && error.code == "no_token") owner._fail(error);
      else if (isMove) this._moveLater();
      else this._retry();
      return;
    }
    const _Socket = owner._socketClass();
    if (this._dialing !== dialing || !_Socket) return;
    try {
      const link = new Link({
        _url: owner._address(++this._tries),
        _token: token,
        _Socket,
        _encoding: owner._encoding,
        _environment: owner._environment,
        _handshakeTimeoutMs: owner._options.handshakeTimeout ?? 1e4,
        _onFrame: (link, frame) => this._onFrame(link, frame),
        _onEnd: (link, code, reason) => this._onEnd(link, code, reason),
        _nextId: () => owner._nextId(),
      });
      if (isMove) this._next = link;
      else this._link = link;
    } catch (error) {
      owner._fail(new RoomcastError("bad_url", String(error)));
    }
  }

  _moveAfter(ms: number): void {
    const { setTimeout, clearTimeout } = this._owner._environment;
    clearTimeout(this._moveTimer);
    if (!this._next) this._moveTimer = setTimeout(() => this._dial(true), ms);
  }

  /** Goes over to the link beside, once everything is there or no more time is. */
  _settle(isForced?: boolean): void {
    const { _link, _next } = this;
    if (!_link || !_next?._connected || !(isForced || (!_link._owed.size && this._owner._isOn(_next)))) return;
    this._owner._environment.clearTimeout(this._moveTimer);
    this._link = _next;
    this._next = undefined;
    _link._drop();
    this._owner._onLost(_link);
    this._owner._onMoved();
  }

  /** The page or the network is back: what looks open may be dead, and a long pause may end. */
  _wake(): void {
    this._link?._test();
    if (this._timer === undefined) return;
    const { now, random, setTimeout, clearTimeout } = this._owner._environment;
    // A whole office comes back online at once: not all in one moment.
    const delay = Math.max(this._notBefore - now(), 0) + pause(1, random, this._owner._options.backoff);
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._dial(), delay);
  }

  _close(): void {
    const { clearTimeout } = this._owner._environment;
    clearTimeout(this._timer);
    clearTimeout(this._moveTimer);
    this._timer = this._dialing = undefined;
    this._link?._drop();
    this._next?._drop();
    this._link = this._next = undefined;
  }

  /** @internal */
  _onFrame(link: Link, frame: ServerFrame): void {
    const owner = this._owner;
    if (frame.type == "reconnect") {
      if (link == this._link) this._moveAfter(frame.after_ms);
    } else if (frame.type == "connected") {
      this._tries = this._attempt = 0;
      this._probed = -Infinity;
      this._hasRenewed = false;
      owner._tokens._lives(frame.expires === undefined ? undefined : frame.expires - frame.time);
      if (link == this._next) {
        this._moveTimer = owner._environment.setTimeout(() => this._settle(true), MOVE_TIMEOUT_MS);
      }
      owner._onLive(link);
    } else owner._onFrame(link, frame);
    this._settle();
  }

  /** @internal */
  _onEnd(link: Link, code?: number, reason?: string): void {
    const owner = this._owner;
    if (link == this._next) {
      if (!link._connected) {
        this._next = undefined;
        this._moveLater();
        return;
      }
      this._settle(true);
    }
    if (link != this._link) return;
    owner._onLost(link);
    const next = this._next;
    if (next?._connected) {
      this._link = next;
      this._next = undefined;
      owner._environment.clearTimeout(this._moveTimer);
      owner._onMoved();
      return;
    }
    owner._tokens._pause();
    this._link = next;
    this._next = undefined;
    if (next) {
      // What was to be a move is the next attempt now. `replaced` is its doing.
      this._tell(0, code);
      return;
    }
    const isMoving = this._dialing && this._moveTimer;
    owner._environment.clearTimeout(this._moveTimer);
    this._moveTimer = undefined;
    this._dialing = {};
    if (link._connected && owner._environment.now() - link._since >= STEADY_AFTER_MS) this._failures = 0;
    if (code == EXPIRED) owner._tokens._spent();
    if (code && isFinal(code) && !(code == REPLACED && isMoving)) {
      owner._fail(new RoomcastError(/^[a-z_]+$/.test(reason ?? "") ? reason! : (REASONS[code] ?? "closed"), reason));
    } else if (code == IDLE) owner._setState("idle");
    else if (link._connected || (code && code >= 3e3)) this._retry(code);
    else void this._diagnose(link, code == 1006 ? undefined : code);
  }

  // Why no connection came of it.
  /** @internal */
  async _diagnose(link: Link, code?: number): Promise<void> {
    const { _environment, _tokens } = this._owner;
    const { _url, _token, _handshakeTimeoutMs } = link._options;
    if (_environment.now() - this._probed < PROBE_INTERVAL_MS) return this._retry(code);
    const dialing = this._dialing;
    this._probed = _environment.now();
    const problem = await probe(_environment, _url, _token, _handshakeTimeoutMs);
    if (this._dialing !== dialing) return;
    if (!problem) return this._retry(code);
    const { _status, _code, _detail, _retryAfterMs } = problem;
    const hasExpired = _code == "expired_token";
    if (hasExpired && _tokens._isCallback && !this._hasRenewed) {
      this._hasRenewed = true;
      // Another token is another question.
      this._probed = -Infinity;
      _tokens._spent();
    } else if (hasExpired || _status == 400 || FINAL_PROBLEMS.includes(_code ?? "")) {
      return this._owner._fail(new RoomcastError(_code ?? "bad_request", _detail));
    }
    this._retry(_code ?? code, _retryAfterMs);
  }

  /** @internal */
  _retry(code?: number | string, floorMs = 0): void {
    const { now, setTimeout } = this._owner._environment;
    const delayMs = floorMs + this._pause();
    this._notBefore = now() + floorMs;
    this._timer = setTimeout(() => this._dial(), delayMs);
    this._tell(delayMs, code);
  }

  /** @internal */
  _tell(delayMs: number, code?: number | string): void {
    this._owner._setState("reconnecting");
    this._owner._emit("reconnecting", { attempt: ++this._attempt, delayMs, ...(code !== undefined && { code }) });
  }

  /** @internal */
  _moveLater(): void {
    this._moveAfter(this._pause());
  }

  /** @internal */
  _pause(): number {
    return Math.round(pause(++this._failures, this._owner._environment.random, this._owner._options.backoff));
  }
}

// By ranges, so that codes of later nodes tell too.
function isFinal(code: number): boolean {
  return code in REASONS || (code >= 3500 && code < 4000) || (code >= 4500 && code < 5000);
}
