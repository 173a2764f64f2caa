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
import { keepTokens } from "./tokens.js";
import { openLink, type Link } from "./link.js";
import { settle, waitIn, type Waiters } from "./waiters.js";
import type { Client as ClientHandle, ClientConstructor } from "./api.js";
import type { RefreshedFrame, ServerFrame } from "./frames.js";
import type { ClientEvents, ClientOptions, ClientState, Encoding, SocketClass } from "./types.js";

function makeClient(address: string, options: ClientOptions = {}): ClientHandle {
  const { encoding = json, handshakeTimeout = 1e4 } = options;
  const clientName = options.client ?? randomName();
  const emitter = makeEmitter<ClientEvents>();
  const emit = emitter._emit;
  const rooms = new Map<string, ReturnType<typeof makeRoom>>();
  const waiters: Waiters = new Set();
  let state: ClientState = "idle";
  let id = 0;
  // Why every call rejects.
  let end: RoomcastError | undefined;
  let hasConnected = false;
  // After a reconnect until all rooms have answered, or one has a hole.
  let isResuming = false;
  let listening: AbortController | undefined;

  const setState = (next: ClientState) => {
    state = next;
    emit("change");
  };
  const nextId = () => ++id;
  const encode: Encoding["encode"] = (frame) => {
    try {
      return encoding.encode(frame);
    } catch (error) {
      throw failure("bad_data", String(error));
    }
  };
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
    connector._end();
    setState("closed");
    outbox._end(error);
    rooms.forEach((room) => room._end(error));
    settle(waiters, error);
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

  const tokens = keepTokens(
    options,
    async (token) => {
      const answer = await outbox._ask({ type: "refresh", token }, { _link: connector._link });
      const { expires, time } = answer as RefreshedFrame;
      return expires - time;
    },
    stop,
  );
  const outbox = makeOutbox(options, encode, nextId, () => {
    flush();
    emit("change");
  });

  const owner: ConnectorOwner = {
    _open(tries, token, onFrame, onEnd) {
      const url = new URL(address, globalThis.location?.href);
      url.protocol = url.protocol.replace("http", "ws");
      url.searchParams.set("client", clientName);
      url.searchParams.set("tries", String(tries));
      if (options.user) url.searchParams.set("user", options.user);
      return openLink(socketClass()!, url.href, token, encoding, handshakeTimeout, onFrame, onEnd);
    },
    _idle() {
      setState("idle");
      // What was called and has no answer yet goes on.
      if (outbox._count()) core._start();
    },
    _end: stop,
    _isMoved: (to, from) => isOn(to) && !outbox._owes(from),
    _reconnecting(event) {
      setState("reconnecting");
      emit("reconnecting", event);
    },
    _onFrame(link: Link, frame: ServerFrame) {
      if (frame.type == "error") {
        if (!outbox._refused(frame)) rooms.forEach((room) => room._onError(link, frame));
        return;
      }
      // The room hears of answers too, and first: who asked may look at it.
      const { room = "" } = frame as { room?: string };
      rooms.get(room)?._onFrame(link, frame);
      outbox._answered(frame);
    },
    _onLive(link, isMove) {
      if (!isMove) {
        isResuming = hasConnected;
        hasConnected = true;
        setState("connected");
      }
      rooms.forEach((room) => void room._enter(link));
      if (isMove) return;
      emit(isResuming ? "reconnected" : "connected");
      settle(waiters);
      core._answered();
    },
    _lost(link) {
      outbox._lost(link);
      rooms.forEach((room) => room._lost(link));
      flush();
    },
  };
  const connector = makeConnector(owner, tokens, options.backoff, handshakeTimeout);

  const core: Core = {
    _outbox: outbox,
    _nextId: nextId,
    _encode: encode,
    _joinLink: () => [connector._next, connector._link].find((link) => link?._connected),
    _holed(gap) {
      isResuming = false;
      if (gap) emit("gap", gap);
    },
    _answered() {
      const { _link } = connector;
      if (isResuming && _link && isOn(_link)) {
        isResuming = false;
        emit("resumed");
      }
      flush();
    },
    _live() {
      if (end) throw end;
    },
    _start(isOutside) {
      core._live();
      if (isOutside) throw failure("not_joined");
      if (!socketClass()) throw failure("no_websocket");
      if (state == "idle") {
        listen();
        setState("connecting");
        void connector._dial();
      }
    },
  };

  return {
    on: emitter._on,
    get state() {
      return state;
    },
    get queued() {
      return outbox._count();
    },
    get connection() {
      return connector._link?._connected?.connection;
    },
    async connect() {
      core._start();
      if (state != "connected") await waitIn(waiters);
    },
    async close() {
      stop(failure("closed"));
    },
    room(name, given) {
      const room = rooms.get(name) ?? makeRoom(core, name);
      if (given) room._adopt(given);
      rooms.set(name, room);
      if (end) room._end(end);
      return room;
    },
  };
}

/** A client of a node. A function in a class's clothes: what it makes keeps everything private. */
export interface Client extends ClientHandle {}
export const Client = function (url: string, options?: ClientOptions) {
  return makeClient(url, options);
} as unknown as ClientConstructor;
