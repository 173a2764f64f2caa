// The client's end of a fake connection: looks like a WebSocket, reaches a `FakeServer` in the same
// process. Every event comes a microtask later, so that fake timers need not run for it.
import type { Encoding } from "../types.js";
import { json } from "../json.js";
import { isRecord } from "../frames.js";

/** A frame in either direction, as `docs/protocol.md` describes it. */
export type Frame = { type: string } & Record<string, unknown>;

/** @hidden What a fake socket needs of its server. */
export interface FakeHost {
  readonly encodings: readonly Encoding[];
  opened(socket: FakeSocket): void;
  received(socket: FakeSocket, frame: Frame): void;
  ended(socket: FakeSocket): void;
}

/** A client's connection to a fake server: a WebSocket for the client, and the node's end of it for the test. */
export class FakeSocket {
  binaryType = "blob";
  /** Set by the client. */
  onopen: ((event: never) => void) | null = null;
  /** Set by the client. */
  onmessage: ((event: never) => void) | null = null;
  /** Set by the client. */
  onclose: ((event: never) => void) | null = null;
  /** Set by the client. */
  onerror: ((event: never) => void) | null = null;
  readyState = 0;
  /** The frames that the client has sent, in their order. */
  readonly received: Frame[] = [];
  /** Nothing goes through any more in either direction, and nobody is told: a black hole. */
  isSilent = false;
  /** The connection's id, after `connected`. */
  connection = "";
  user: string | undefined;
  readonly url: URL;
  readonly token: string | undefined;
  private readonly encoding: Encoding;

  /** @hidden The server's `WebSocket` makes it. */
  constructor(
    private readonly host: FakeHost,
    url: string,
    readonly protocols: string[],
  ) {
    this.url = new URL(url);
    this.token = protocols.find((name) => name.startsWith("roomcast.token."))?.slice("roomcast.token.".length);
    this.encoding = host.encodings.find(({ protocol }) => protocols.includes(protocol)) ?? json;
    queueMicrotask(() => {
      if (this.readyState == 0) host.opened(this);
    });
  }

  /** By the client. */
  send(data: string | Uint8Array): void {
    if (this.readyState == 0) throw new Error("the socket is not open");
    if (this.readyState != 1 || this.isSilent) return;
    const frame: unknown = this.encoding.decode(typeof data == "string" ? data : data.slice().buffer);
    if (!isRecord(frame) || typeof frame.type != "string") throw new TypeError("not a frame");
    const known = frame as Frame;
    this.received.push(known);
    queueMicrotask(() => {
      if (this.readyState == 1) this.host.received(this, known);
    });
  }

  /** By the client. */
  close(code = 1005): void {
    this.end(code, "");
  }

  /** @internal Opens the socket on the client's side. */
  accept(): void {
    this.readyState = 1;
    this.event(this.onopen, {});
  }

  /** Gives the client a frame. */
  give(frame: Frame): void {
    const data = this.encoding.encode(frame);
    queueMicrotask(() => {
      if (this.readyState != 1 || this.isSilent) return;
      this.event(this.onmessage, { data: typeof data == "string" ? data : data.slice().buffer });
    });
  }

  /** Ends the connection as the node does, or, with 1006, as a lost link does. */
  end(code = 1006, reason = ""): void {
    if (this.readyState == 3) return;
    const wasOpen = this.readyState == 1;
    this.readyState = 3;
    this.host.ended(this);
    queueMicrotask(() => {
      if (!wasOpen) this.event(this.onerror, {});
      this.event(this.onclose, { code, reason });
    });
  }

  private event(listener: ((event: never) => void) | null, event: unknown): void {
    listener?.(event as never);
  }
}
