// The client: one state, the rooms, what is asked and published over whatever link counts. How links
// come and go is the connector's, what a room's frames mean is the room's.
import { RoomcastError } from "./errors.js";
import { makeConnector } from "./connector.js";
import { Emitter } from "./emitter.js";
import { randomName } from "./environment.js";
import type { ClientFrame, ErrorFrame, ServerFrame } from "./frames.js";
import { json } from "./json.js";
import type { Link } from "./link.js";
import { makeOutbox, type Outgoing } from "./outbox.js";
import { makeRequests } from "./requests.js";
import { Room } from "./room.js";
import { differ } from "./room-options.js";
import { keepTokens } from "./tokens.js";
import type { ClientEvents, ClientOptions, ClientState, RoomOptions, SocketClass } from "./types.js";

export class Client extends Emitter<ClientEvents> {
  /** @internal */
  _state: ClientState = "idle";
  /** @internal */
  readonly _options: ClientOptions;
  /** @internal */
  readonly _encoding;
  /** @internal */
  readonly _tokens;
  /** @internal */
  readonly _connector;
  /** @internal */
  readonly _outbox;
  /** @internal */
  readonly _requests;
  /** @internal */
  readonly _rooms = new Map<string, Room>();
  /** @internal */
  readonly _url: string;
  /** @internal */
  readonly _name: string;
  /** @internal */
  _id = 0;
  /** Why every call rejects. @internal */
  _error: RoomcastError | undefined;
  /** @internal */
  _waiters: ((error?: RoomcastError) => void)[] = [];
  /** @internal */
  _hasConnected = false;
  // After a reconnect until all rooms have answered.
  /** @internal */
  _isResuming = false;
  /** @internal */
  _hasHole = false;
  /** @internal */
  _unlisten: (() => void)[] = [];

  /** Opens nothing; the first `connect`, `join` or `publish` does. */
  constructor(url: string, options: ClientOptions = {}) {
    super();
    this._url = url;
    this._options = options;
    this._encoding = options.encoding ?? json;
    this._name = options.client ?? randomName();
    const refresh = async (token: string) => {
      const answer = await this._requests._ask({ type: "refresh", token }, undefined, this._connector._link);
      return answer.type == "refreshed" ? answer.expires - answer.time : undefined;
    };
    this._tokens = keepTokens(options, refresh, (error) => this._fail(error));
    this._outbox = makeOutbox(options, () => {
      this._flush();
      this._changed();
    });
    this._requests = makeRequests(() => this._nextId(), () => this._flush());
    this._connector = makeConnector(this);
  }

  get state(): ClientState {
    return this._state;
  }

  /** Publishes that are not acknowledged yet. */
  get queued(): number {
    return this._outbox._size();
  }

  /** Resolves when the node has taken the connection. */
  connect(): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: RoomcastError) => (error ? reject(error) : resolve());
      const error = this._start();
      if (error || this._state == "connected") settle(error);
      else this._waiters.push(settle);
    });
  }

  /** Ends the client for good: everything that waits rejects with `closed`. */
  async close(): Promise<void> {
    this._end(new RoomcastError("closed"));
  }

  /** The handle of a room, the same each time. Options that differ throw `room_options`. */
  room(name: string, options?: RoomOptions): Room {
    let room = this._rooms.get(name);
    if (!room) this._rooms.set(name, (room = new Room(this, name)));
    if (options) {
      if (room._options && differ(room._options, options)) {
        throw new RoomcastError("room_options");
      }
      room._options ??= { ...options };
    }
    return room;
  }

  /** Opens a socket if there is none; why that cannot be. @internal */
  _start(): RoomcastError | undefined {
    if (this._error) return this._error;
    if (!this._socketClass()) return new RoomcastError("no_websocket");
    if (this._state == "idle") {
      this._listen();
      this._setState("connecting");
      void this._connector._dial();
    }
    return;
  }

  /** @internal */
  _publish(outgoing: Omit<Outgoing, "_data" | "_bytes">, frame: ClientFrame): void {
    const id = (frame.id = this._nextId());
    const _data = this._encoding.encode(frame);
    const _bytes = typeof _data == "string" ? new TextEncoder().encode(_data).length : _data.length;
    this._outbox._add(id, { ...outgoing, _data, _bytes });
  }

  /** The link on which rooms are to be joined. @internal */
  _joinLink(): Link | undefined {
    const { _link, _next } = this._connector;
    return [_next, _link].find((link) => link?._connected);
  }

  /** A room has its answer, or needs none any more. @internal */
  _answered(hasHole?: boolean): void {
    this._hasHole ||= !!hasHole;
    const link = this._connector._link;
    if (this._isResuming && link && this._isOn(link)) {
      this._isResuming = false;
      if (!this._hasHole) this._emit("resumed", undefined);
    }
    this._flush();
  }

  /** @internal */
  _nextId(): number {
    return ++this._id;
  }

  /** @internal */
  _address(tries: number): string {
    const base = typeof location == "object" ? location.href : undefined;
    const url = new URL(this._url, base);
    url.protocol = url.protocol.replace("http", "ws");
    const { user } = this._options;
    const query = { client: this._name, tries: String(tries), ...(user && { user }) };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url.href;
  }

  /** @internal */
  _socketClass(): SocketClass | undefined {
    return this._options.WebSocket ?? (typeof WebSocket == "function" ? (WebSocket as SocketClass) : undefined);
  }

  /** @internal */
  _setState(state: ClientState): void {
    this._state = state;
    this._changed();
  }

  /** @internal */
  _fail(error: RoomcastError): void {
    if (this._error) return;
    this._end(error);
    this._emit("failed", error);
  }

  /** @internal */
  _onFrame(link: Link, frame: ServerFrame): void {
    if (frame.type == "error") return this._onError(link, frame);
    if (frame.type == "ack") return this._outbox._acked(frame);
    if ("id" in frame && frame.id && this._requests._answered(frame.id, frame) && frame.type == "left") return;
    if ("room" in frame) this._rooms.get(frame.room)?._onFrame(link, frame);
  }

  /** @internal */
  _onError(link: Link, frame: ErrorFrame): void {
    if (frame.id && (this._outbox._refused(frame) || this._requests._refused(frame))) return;
    for (const room of this._rooms.values()) if (room._onError(link, frame)) return;
  }

  /** @internal */
  _onLive(link: Link): void {
    const isMove = link == this._connector._next;
    const event = this._hasConnected ? "reconnected" : "connected";
    if (!isMove) {
      this._isResuming = this._hasConnected;
      this._hasHole = false;
      this._hasConnected = true;
      this._setState("connected");
    }
    for (const room of this._rooms.values()) void room._enter(link);
    if (isMove) return;
    this._flush();
    this._emit(event, undefined);
    this._waiters.splice(0).forEach((settle) => settle());
    this._answered();
  }

  /** @internal */
  _onLost(link: Link): void {
    this._outbox._lost(link);
    this._requests._lost(link);
    for (const room of this._rooms.values()) room._onLost(link);
  }

  /** @internal */
  _reconnecting(event: ClientEvents["reconnecting"]): void {
    this._emit("reconnecting", event);
  }

  /** @internal */
  _isOn(link: Link): boolean {
    return [...this._rooms.values()].every((room) => room._isOn(link));
  }

  // While the client moves nothing new is sent on the old link: order holds on one link only.
  /** @internal */
  _flush(): void {
    const { _link, _next } = this._connector;
    if (!_link?._connected || _next?._connected) return;
    this._outbox._send(_link);
    this._requests._send(_link);
  }

  /** @internal */
  _end(error: RoomcastError): void {
    if (this._error) return;
    this._error = error;
    this._unlisten.forEach((unlisten) => unlisten());
    this._connector._close();
    this._setState("closed");
    this._outbox._end(error);
    this._requests._end(error);
    for (const room of this._rooms.values()) room._end(error);
    this._waiters.splice(0).forEach((settle) => settle(error));
  }

  /** @internal */
  _listen(): void {
    if (this._unlisten.length) return;
    const listen = (target: EventTarget, name: string) => {
      const wake = () => {
        if (typeof document != "object" || !document.hidden) this._connector._wake();
      };
      target.addEventListener?.(name, wake);
      this._unlisten.push(() => target.removeEventListener?.(name, wake));
    };
    listen(globalThis as unknown as EventTarget, "online");
    listen(globalThis as unknown as EventTarget, "pageshow");
    if (typeof document == "object") listen(document, "visibilitychange");
  }
}
