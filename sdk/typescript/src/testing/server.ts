// A node in the process of the test: rooms with history, presence, state and receipts, refused
// handshakes, close codes, silence. It answers as `docs/protocol.md` says, and does on demand what a
// real node does only on a bad day. Its clock and its one timer, of typing, are the global ones.
import { json } from "../json.js";
import type { Encoding, SocketClass } from "../types.js";
import { answer } from "./answer.js";
import { FakeRoom, type FakeRoomOptions } from "./room.js";
import { FakeSocket, type Frame } from "./socket.js";

/** Why handshakes are refused: a status and a problem, or the node is away. */
export interface Refusal {
  status: number;
  code?: string;
  retryAfter?: number;
}

/** A node in the process of a test. Clients reach it by its `WebSocket`; the test decides what it does. */
export class FakeServer {
  /** Give this to the client: `new Client("ws://fake/ws", { WebSocket: server.WebSocket })`. */
  readonly WebSocket: SocketClass;
  /** Open connections, the oldest first. */
  readonly sockets: FakeSocket[] = [];
  /** All handshakes that were tried, also those that were refused. */
  readonly handshakes: FakeSocket[] = [];
  readonly rooms = new Map<string, FakeRoom>();
  /** Until it is undefined again, handshakes fail; "away": there is no answer at all. */
  refusal: Refusal | "away" | undefined;
  /** Handshakes hang: neither opened nor refused. */
  isHanging = false;
  /** What a token means; without this no token is needed. A refusal has a status. */
  authenticate: ((token: string | undefined) => { user: string; lifeMs?: number } | Refusal) | undefined;
  heartbeat = { interval_ms: 25_000, timeout_ms: 75_000 };
  limits = { message_bytes: 1_048_576, rooms: 128 };
  /** Sees each frame first; what returns true is not answered by the server. */
  intercept: ((socket: FakeSocket, frame: Frame) => boolean | void) | undefined;
  /** Requests by `fetch` so far. */
  readonly fetched: { url: string; init: RequestInit | undefined }[] = [];
  readonly encodings: Encoding[];
  private connections = 0;
  private roomOptions: (name: string) => FakeRoomOptions;

  constructor(options: { room?: (name: string) => FakeRoomOptions; encodings?: Encoding[] } = {}) {
    this.encodings = [json, ...(options.encodings ?? [])];
    this.roomOptions = options.room ?? (() => ({}));
    const host = this;
    this.WebSocket = class extends FakeSocket {
      constructor(url: string, protocols: string[]) {
        super(host, url, protocols);
        host.handshakes.push(this);
      }
    };
  }

  /** The newest open connection. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error("there is no connection");
    return socket;
  }

  /** The room of this name, made at its first use. */
  room(name: string): FakeRoom {
    let room = this.rooms.get(name);
    if (!room) this.rooms.set(name, (room = new FakeRoom(name, this.roomOptions(name))));
    return room;
  }

  /** Ends all connections. */
  disconnect(code = 1006, reason = ""): void {
    for (const socket of [...this.sockets]) socket.end(code, reason);
  }

  /** Asks all clients to move, as a node does that drains. */
  reconnect(afterMs: number, reason = "drain"): void {
    for (const socket of this.sockets) socket.give({ type: "reconnect", after_ms: afterMs, reason });
  }

  /** In place of the global `fetch`: the client asks so why a handshake failed. */
  readonly fetch = async (input: string | URL | Request, init?: RequestInit): Promise<Response> => {
    this.fetched.push({ url: String(input), init });
    const token = new Headers(init?.headers).get("authorization")?.slice("Bearer ".length);
    const refusal = this.refusalOf(token);
    if (refusal == "away") throw new TypeError("fetch failed");
    const { status, code, retryAfter } = refusal ?? { status: 426, code: "upgrade_required" };
    const headers: Record<string, string> = { "content-type": "application/problem+json" };
    if (retryAfter !== undefined) headers["retry-after"] = String(retryAfter);
    return new Response(JSON.stringify({ code, detail: code }), { status, headers });
  };

  /** @internal A client has tried to connect. */
  opened(socket: FakeSocket): void {
    if (this.isHanging) return;
    const identity = this.authenticate?.(socket.token);
    if (this.refusalOf(socket.token)) return socket.end(1006);
    socket.connection = (++this.connections).toString(16).padStart(16, "0");
    const named = identity && "user" in identity ? identity : undefined;
    socket.user = named?.user ?? socket.url.searchParams.get("user") ?? undefined;
    this.sockets.push(socket);
    socket.accept();
    const time = Date.now();
    socket.give({
      type: "connected",
      connection: socket.connection,
      ...(socket.user !== undefined && { user: socket.user }),
      node: "fake",
      time,
      ...(named?.lifeMs !== undefined && { expires: time + named.lifeMs }),
      heartbeat: this.heartbeat,
      limits: this.limits,
    });
  }

  /** @internal A client has sent a frame. */
  received(socket: FakeSocket, frame: Frame): void {
    if (!this.intercept?.(socket, frame)) answer(this, socket, frame);
  }

  /** @internal A connection is over. */
  ended(socket: FakeSocket): void {
    const index = this.sockets.indexOf(socket);
    if (index >= 0) this.sockets.splice(index, 1);
    for (const room of this.rooms.values()) room.leave(socket);
  }

  private refusalOf(token: string | undefined): Refusal | "away" | undefined {
    if (this.refusal) return this.refusal;
    const identity = this.authenticate?.(token);
    return identity && "status" in identity ? identity : undefined;
  }
}
