// The client: one state, the rooms, what is asked and published over whatever link counts. How links
// come and go is the connector's, what a room's frames mean is the room's.
import { makeConnector, type ConnectorOwner } from "./connector.js";
import { makeEmitter } from "./emitter.js";
import { randomName } from "./backoff.js";
import { failure, type RoomcastError } from "./errors.js";
import { json } from "./json.js";
import type { Core } from "./core.js";
import { makeOutbox } from "./outbox.js";
import { makeRoom } from "./room.js";
import { differ } from "./room-options.js";
import { keepTokens } from "./tokens.js";
import { openLink, type Link } from "./link.js";
import type { Client as ClientHandle, ClientConstructor } from "./api.js";
import type { ErrorFrame, ServerFrame } from "./frames.js";
import type { ClientEvents, ClientOptions, ClientState, SocketClass } from "./types.js";

function makeClient(address: string, options: ClientOptions = {}): ClientHandle {
  const { encoding = json, handshakeTimeout = 1e4 } = options;
  const clientName = options.client ?? randomName();
  const emitter = makeEmitter<ClientEvents>();
  const emit = emitter._emit;
  const rooms = new Map<string, ReturnType<typeof makeRoom>>();
  const waiters = new Set<(error?: RoomcastError) => void>();
  let state: ClientState = "idle";
  let id = 0;
  // Why every call rejects.
  let end: RoomcastError | undefined;
  let hasConnected = false;
  // After a reconnect until all rooms have answered.
  let isResuming = false;
  let hasHole = false;
  let listening: AbortController | undefined;

  const setState = (next: ClientState) => {
    state = next;
    emit("change");
  };
  const nextId = () => ++id;
  const socketClass = () => options.WebSocket ?? (globalThis.WebSocket as SocketClass | undefined);
  const isOn = (link: Link) => [...rooms.values()].every((room) => room._isOn(link));

  // While the client moves nothing new is sent on the old link: order holds on one link only.
  const flush = () => {
    const { _link, _next } = connector;
    if (!_link?._connected || _next?._connected) return;
    outbox._send(_link);
  };

  const stop = (error: RoomcastError) => {
    if (end) return;
    end = error;
    listening?.abort();
    connector._close();
    setState("closed");
    outbox._end(error);
    rooms.forEach((room) => room._end(error));
    waiters.forEach((settle) => settle(error));
    if (error.code != "closed") emit("failed", error);
  };

  const listen = () => {
    if (listening) return;
    const { signal } = (listening = new AbortController());
    const listenTo = (target: EventTarget | undefined, name: string) =>
      target?.addEventListener?.(name, connector._wake, { signal });
    listenTo(globalThis, "online");
    listenTo(globalThis, "pageshow");
    listenTo(globalThis.document, "visibilitychange");
  };

  const onError = (link: Link, frame: ErrorFrame) => {
    if (outbox._refused(frame)) return;
    rooms.forEach((room) => room._onError(link, frame));
  };

  const tokens = keepTokens(
    options,
    async (token) => {
      const answer = await core._ask({ type: "refresh", token }, undefined, connector._link);
      return answer.type == "refreshed" ? answer.expires - answer.time : undefined;
    },
    stop,
  );
  const outbox = makeOutbox(options, () => {
    flush();
    emit("change");
  });

  const owner: ConnectorOwner = {
    _open: (address, token, onFrame, onEnd) =>
      openLink(socketClass()!, address, token, encoding, handshakeTimeout, nextId, onFrame, onEnd),
    _setState: setState,
    _fail: stop,
    _flush: flush,
    _isOn: isOn,
    _owes: outbox._owes,
    _reconnecting(event) {
      setState("reconnecting");
      emit("reconnecting", event);
    },
    _address(tries) {
      const url = new URL(address, globalThis.location?.href);
      url.protocol = url.protocol.replace("http", "ws");
      url.searchParams.set("client", clientName);
      url.searchParams.set("tries", String(tries));
      if (options.user) url.searchParams.set("user", options.user);
      return url.href;
    },
    _onFrame(link: Link, frame: ServerFrame) {
      if (frame.type == "error") return onError(link, frame);
      // The room hears of answers too, and first: who asked may look at it.
      if ("room" in frame) rooms.get(frame.room)?._onFrame(link, frame);
      if ("id" in frame && frame.id) outbox._answered(frame.id, frame);
    },
    _onLive(link, isMove) {
      const event = hasConnected ? "reconnected" : "connected";
      if (!isMove) {
        isResuming = hasConnected;
        hasHole = false;
        hasConnected = true;
        setState("connected");
      }
      rooms.forEach((room) => void room._enter(link));
      if (isMove) return;
      flush();
      emit(event);
      waiters.forEach((settle) => settle());
      waiters.clear();
      core._answered();
    },
    _onLost(link) {
      outbox._lost(link);
      rooms.forEach((room) => room._onLost(link));
    },
  };
  const connector = makeConnector(owner, tokens, options.backoff, handshakeTimeout);

  const core: Core = {
    _outbox: outbox,
    _emitter: emitter,
    _nextId: nextId,
    _error: () => end,
    _joinLink: () => [connector._next, connector._link].find((link) => link?._connected),
    _holed() {
      hasHole = true;
    },
    _answered() {
      const { _link } = connector;
      if (isResuming && _link && isOn(_link)) {
        isResuming = false;
        if (!hasHole) emit("resumed");
      }
      flush();
    },
    _start() {
      if (end) return end;
      if (!socketClass()) return failure("no_websocket");
      if (state == "idle") {
        listen();
        setState("connecting");
        void connector._dial();
      }
      return;
    },
    _encode: encoding.encode,
    _ask(frame, _member, _link) {
      const id = (frame.id = nextId());
      return new Promise((_done, _failed) => outbox._ask(id, { _data: encoding.encode(frame), _bytes: 0, _done, _failed, _member, _link }));
    },
  };

  return {
    on: emitter._on,
    get state() {
      return state;
    },
    get queued() {
      return outbox._queued();
    },
    connect: () =>
      new Promise((resolve, reject) => {
        const settle = (error?: RoomcastError) => (error ? reject(error) : resolve());
        const error = core._start();
        if (error || state == "connected") settle(error);
        else waiters.add(settle);
      }),
    async close() {
      stop(failure("closed"));
    },
    room(name, given) {
      const room = rooms.get(name) ?? makeRoom(core, name);
      const before = room._options();
      if (given && before && differ(before, given)) throw failure("room_options");
      if (given && !before) room._adopt(given);
      rooms.set(name, room);
      return room;
    },
  };
}

/** A client of a node. A function in a class's clothes: what it makes keeps everything private. */
export interface Client extends ClientHandle {}
export const Client = function (url: string, options?: ClientOptions) {
  return makeClient(url, options);
} as unknown as ClientConstructor;
