// One WebSocket from its opening to its end: encoding, the handshake's deadline, and noticing that
// the node is silent. Knows no room, opens no second socket. Another transport would take its place.
import { isServerFrame, type ClientFrame, type ConnectedFrame, type ServerFrame } from "./frames.js";
import type { Encoding, Environment, SocketClass, SocketLike } from "./types.js";

const ANSWER_TIMEOUT_MS = 1e4;
// Frames that came so lately say that the node lives, though its answer to a ping is still behind them.
const RECENT_MS = 5e3;
const DEFAULT_HEARTBEAT_MS = 25e3;

export interface LinkOptions {
  _url: string;
  _token: string | undefined;
  _Socket: SocketClass;
  _encoding: Encoding;
  _environment: Environment;
  _handshakeTimeoutMs: number;
  /** A frame has come; the first is `connected`. */
  _onFrame(link: Link, frame: ServerFrame): void;
  /** The socket is gone: once, and not after `_drop`. Without a code nothing was said. */
  _onEnd(link: Link, code?: number, reason?: string): void;
  _nextId(): number;
}

export class Link {
  /** What the node said first; without it the handshake is not over. */
  _connected: ConnectedFrame | undefined;
  _since = 0;
  /** Requests of this link without an answer. */
  _owed = new Set<number>();
  readonly _options: LinkOptions;
  /** @internal */
  readonly _socket: SocketLike;
  /** @internal */
  _heard = 0;
  /** @internal */
  _timer: unknown;
  // The number of the ping that waits for its answer.
  /** @internal */
  _ping = 0;
  /** @internal */
  _isOver = false;

  /** Throws if the class of sockets does not take the address. */
  constructor(options: LinkOptions) {
    this._options = options;
    const { _url, _token, _Socket, _encoding, _handshakeTimeoutMs } = options;
    const protocols = [_encoding.protocol];
    if (_token) protocols.push("roomcast.token." + _token);
    const socket = (this._socket = new _Socket(_url, protocols));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }: { data: unknown }) => this._receive(data);
    socket.onclose = ({ code, reason }: { code: number; reason: unknown }) => this._end(code, String(reason ?? ""));
    socket.onerror = () => {};
    this._arm(_handshakeTimeoutMs, () => this._end());
  }

  _send(frame: ClientFrame): void {
    if (frame.id) this._owed.add(frame.id);
    this._write(this._options._encoding.encode(frame));
  }

  _write(data: string | Uint8Array<ArrayBuffer>): void {
    if (this._isOver) return;
    try {
      this._socket.send(data);
    } catch {
      // The socket is closing: its end tells.
    }
  }

  /** Lets go of the socket; nothing more is told of it. */
  _drop(): void {
    this._isOver = true;
    this._options._environment.clearTimeout(this._timer);
    try {
      this._socket.close(1000);
    } catch {
      // Closed already.
    }
  }

  /** Asks the node whether it is alive, unless it is asked already. */
  _test(): void {
    if (!this._connected || this._ping || this._isOver) return;
    this._ping = this._options._nextId();
    this._write(this._options._encoding.encode({ type: "ping", id: this._ping }));
    this._expectAnswer();
  }

  /** @internal */
  _expectAnswer(): void {
    this._arm(ANSWER_TIMEOUT_MS, () => {
      if (this._silence() < RECENT_MS) this._expectAnswer();
      else this._end();
    });
  }

  /** @internal */
  _receive(data: unknown): void {
    if (this._isOver) return;
    this._heard = this._options._environment.now();
    let frame: unknown;
    try {
      frame = this._options._encoding.decode(data);
    } catch {
      return;
    }
    if (!isServerFrame(frame)) return;
    if ("id" in frame && frame.id) {
      this._owed.delete(frame.id);
      if (frame.id == this._ping) {
        this._ping = 0;
        this._watch();
        return;
      }
    }
    if (frame.type == "connected") {
      this._connected = frame;
      this._since = this._heard;
      this._watch();
    } else if (!this._connected) return;
    this._options._onFrame(this, frame);
  }

  // After a heartbeat without any frame the node is asked: a page does not see the node's own pings.
  /** @internal */
  _watch(): void {
    const interval = this._connected?.heartbeat.interval_ms || DEFAULT_HEARTBEAT_MS;
    this._arm(interval - this._silence(), () => {
      if (this._silence() < interval) this._watch();
      else this._test();
    });
  }

  /** @internal */
  _silence(): number {
    return this._options._environment.now() - this._heard;
  }

  /** @internal */
  _arm(ms: number, f: () => void): void {
    const { setTimeout, clearTimeout } = this._options._environment;
    clearTimeout(this._timer);
    this._timer = setTimeout(f, Math.max(ms, 1));
  }

  /** @internal */
  _end(code?: number, reason?: string): void {
    if (this._isOver) return;
    this._drop();
    this._options._onEnd(this, code, reason);
  }
}
