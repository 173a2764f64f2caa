// One WebSocket from its opening to its end: encoding, the handshake's deadline, and noticing that
// the node is silent. Knows no room, opens no second socket. Another transport would take its place.
import { cancel, later, now, type Timer } from "./clock.js";
import { isServerFrame, type ConnectedFrame, type ServerFrame } from "./frames.js";
import type { Encoding, SocketClass } from "./types.js";

const enum Time {
  AnswerMs = 1e4,
  // Frames that came so lately say that the node lives, though its answer to a ping is still behind them.
  RecentMs = 5e3,
  HeartbeatMs = 25e3,
}

export interface Link {
  readonly _url: string;
  readonly _token: string | undefined;
  /** What the node said first; without it the handshake is not over. */
  _connected?: ConnectedFrame;
  _write(data: string | Uint8Array<ArrayBuffer>): void;
  /** Lets go of the socket; nothing more is told of it. */
  _drop(): void;
  /** Asks the node whether it is alive, unless it is asked already. */
  _test(): void;
}

/** Throws if the class of sockets does not take the address. */
export function openLink(
  Socket: SocketClass,
  url: string,
  token: string | undefined,
  encoding: Encoding,
  handshakeTimeoutMs: number,
  /** A frame has come; the first is `connected`. */
  onFrame: (link: Link, frame: ServerFrame) => void,
  /** The socket is gone: once, and not after `_drop`. Without a code nothing was said. */
  onEnd: (link: Link, code?: number, reason?: string) => void,
): Link {
  let heard = 0;
  let timer: Timer | undefined;
  let isAsked = false;
  let isOver = false;

  const socket = new Socket(url, token ? [encoding.protocol, "roomcast.token." + token] : [encoding.protocol]);
  const silence = () => now() - heard;
  const arm = (f: () => void, ms: number) => {
    cancel(timer);
    timer = later(f, Math.max(ms, 1));
  };
  const end = (code?: number, reason?: string) => {
    if (isOver) return;
    link._drop();
    onEnd(link, code, reason);
  };
  const expectAnswer = () => arm(() => (silence() < Time.RecentMs ? expectAnswer() : end()), Time.AnswerMs);
  // After a heartbeat without any frame the node is asked: a page does not see the node's own pings.
  const watch = () => {
    const interval = link._connected?.heartbeat.interval_ms || Time.HeartbeatMs;
    arm(() => (silence() < interval ? watch() : link._test()), interval - silence());
  };

  const link: Link = {
    _url: url,
    _token: token,
    _write(data) {
      // A socket that is closing drops it, and its end tells.
      if (!isOver) socket.send(data);
    },
    _drop() {
      isOver = true;
      cancel(timer);
      socket.close(1000);
    },
    _test() {
      if (!link._connected || isAsked) return;
      isAsked = true;
      expectAnswer();
      link._write(encoding.encode({ type: "ping" }));
    },
  };

  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }: { data: unknown }) => {
    if (isOver) return;
    heard = now();
    try {
      const frame = encoding.decode(data);
      if (!isServerFrame(frame)) return;
      if (isAsked && frame.type == "pong") {
        isAsked = false;
        return watch();
      }
      if (frame.type == "connected") {
        link._connected = frame;
        watch();
      }
      if (link._connected) onFrame(link, frame);
    } catch {
      // What cannot be read, or lacks what its type needs, is no frame: thrown here it would end a Node
      // process. What listeners throw does not come this way.
    }
  };
  socket.onclose = (event: { code: number; reason: string }) => end(event.code, event.reason);
  socket.onerror = () => {};
  arm(end, handshakeTimeoutMs);
  return link;
}
