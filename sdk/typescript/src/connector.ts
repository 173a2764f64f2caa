// The client's way to a socket and from one to the next: attempts, pauses, the reason of a failure,
// final codes, planned moves. Knows of rooms only whether all are on a link.
import { cancel, later, now, type Timer } from "./clock.js";
import { pause } from "./backoff.js";
import { compact } from "./compact.js";
import { failure, type RoomcastError } from "./errors.js";
import type { ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import { probe } from "./probe.js";
import { isNoToken, type Tokens } from "./tokens.js";
import type { ClientOptions } from "./types.js";

const enum Time {
  SteadyMs = 5e3,
  MoveMs = 5e3,
  ProbeMs = 3e4,
}
const enum Code {
  NoCloseFrame = 1006,
  Idle = 4002,
  Expired = 4100,
  Banned = 4501,
}
// What the node says of these in its Close frame, should a proxy have taken the text away.
const REASONS = ["banned", "disconnected", "replaced"];
// Of RFC 6455 those that say that this client will not do; the node's own by ranges (3500 to 3999, 4500
// to 4999), so that codes of later nodes tell too.
const FINAL_CODES = /^(100[23789]|[34][5-9]..)$/;
const FINAL_PROBLEMS = ["no_token", "bad_token", "bad_origin", "banned"];

export interface ConnectorOwner {
  /** Throws if the class of sockets does not take the address. */
  _open(
    tries: number,
    token: string | undefined,
    onFrame: (link: Link, frame: ServerFrame) => void,
    onEnd: (link: Link, code?: number, reason?: string) => void,
  ): Link;
  /** The node has had enough of the silence: no other link is opened before the application's next call. */
  _idle(): void;
  _reconnecting(event: { attempt: number; delayMs: number; code?: number | string }): void;
  _end(error: RoomcastError): void;
  _onFrame(link: Link, frame: ServerFrame): void;
  /** The node has said `connected` on the link that counts, or on the one beside it. */
  _onLive(link: Link, isMove: boolean): void;
  /** Nothing more comes on this link, nor is anything answered. On the one that counts now, sending goes on. */
  _lost(link: Link): void;
  /** Whether every room is on the one link, and the other owes no answer. */
  _isMoved(to: Link, from: Link): boolean;
}

export interface Connector {
  /** The link that counts. */
  _link?: Link | undefined;
  /** The one beside it, of a planned move. */
  _next?: Link | undefined;
  /** Opens a socket: the one that counts, or one beside it. */
  _dial(isMove?: boolean): Promise<void>;
  /** The page or the network is back: what looks open may be dead, and a long pause may end. */
  _wake(): void;
  _end(): void;
}

export function makeConnector(
  owner: ConnectorOwner,
  tokens: Tokens,
  backoff: ClientOptions["backoff"],
  handshakeTimeout: number,
): Connector {
  let failures = 0;
  // When the node last said `connected`.
  let since = 0;
  let tries = 0;
  let attempt = 0;
  let probed = -Infinity;
  let hasRenewed = false;
  // No attempt before this, whatever wakes the client.
  let notBefore = 0;
  let due = 0;
  // What is under way: an attempt, or the question why one failed. Another takes its place.
  let dialing: AbortController | undefined;
  let timer: Timer | undefined;
  let moveTimer: Timer | undefined;

  const nextPause = () => pause(++failures, backoff);

  const dialAfter = (ms: number) => {
    cancel(timer);
    due = now() + ms;
    timer = later(() => connector._dial(), ms);
  };
  const moveAfter = (ms: number) => {
    cancel(moveTimer);
    if (!connector._next) moveTimer = later(() => connector._dial(true), ms);
  };

  const tell = (delayMs: number, code?: number | string) => {
    owner._reconnecting(compact({ attempt: ++attempt, delayMs, code }));
  };
  const retry = (code?: number | string, floorMs = 0) => {
    const delayMs = floorMs + nextPause();
    notBefore = now() + floorMs;
    dialAfter(delayMs);
    tell(delayMs, code);
  };

  // Why no connection came of it.
  const diagnose = async ({ _url, _token }: Link) => {
    if (now() - probed < Time.ProbeMs) return retry();
    const mine = (dialing = new AbortController());
    probed = now();
    const problem = await probe(_url, _token, handshakeTimeout, mine);
    if (dialing != mine) return;
    if (!problem) return retry();
    const [status, code, detail, retryAfterMs] = problem;
    const hasExpired = code == "expired_token";
    if (hasExpired && tokens._isCallback && !hasRenewed) {
      hasRenewed = true;
      // Another token is another question.
      probed = -Infinity;
      tokens._spent();
    } else if (hasExpired || status == 400 || FINAL_PROBLEMS.includes(code)) {
      return owner._end(failure(code || "bad_request", detail));
    }
    retry(code || undefined, retryAfterMs);
  };

  const onFrame = (link: Link, frame: ServerFrame) => {
    if (frame.type == "reconnect") {
      if (link == connector._link) moveAfter(frame.after_ms);
    } else if (frame.type == "connected") {
      since = now();
      tries = attempt = 0;
      probed = -Infinity;
      hasRenewed = false;
      tokens._lives(frame.expires && frame.expires - frame.time);
      const isMove = link == connector._next;
      if (isMove) moveTimer = later(() => settle(true), Time.MoveMs);
      owner._onLive(link, isMove);
    } else owner._onFrame(link, frame);
    settle();
  };

  const goOver = () => {
    const old = connector._link!;
    cancel(moveTimer);
    connector._link = connector._next;
    connector._next = undefined;
    old._drop();
    owner._lost(old);
  };

  // Goes over to the link beside, once everything is there or no more time is.
  const settle = (isForced?: boolean) => {
    const { _link, _next } = connector;
    if (_next?._connected && (isForced || owner._isMoved(_next, _link!))) goOver();
  };

  const onEnd = (link: Link, code?: number, reason = "") => {
    if (link == connector._next && !link._connected) {
      connector._next = undefined;
      return moveAfter(nextPause());
    }
    if (link == connector._next) goOver();
    if (link != connector._link) return;
    if (connector._next) {
      // `replaced` is the doing of the move. What was to be one is the next attempt now.
      goOver();
      if (!connector._link?._connected) tell(0, code);
      return;
    }
    connector._end();
    owner._lost(link);
    if (now() - since >= Time.SteadyMs && link._connected) failures = 0;
    if (code == Code.Expired && tokens._spent()) owner._end(failure("expired_token"));
    else if (FINAL_CODES.test(String(code))) owner._end(failure(REASONS[code! - Code.Banned] || reason || "close_" + code));
    else if (code == Code.Idle) owner._idle();
    else if (link._connected || code! > Code.NoCloseFrame) retry(code);
    else void diagnose(link);
  };

  const connector: Connector = {
    async _dial(isMove) {
      const mine = (dialing = new AbortController());
      timer = undefined;
      // What fails before is the token's fault, what fails after the address's.
      let hasToken = false;
      try {
        const token = await tokens._ask();
        if (dialing != mine) return;
        hasToken = true;
        const link = owner._open(++tries, token, onFrame, onEnd);
        // Private names are shortened: none may be put together at run time.
        if (isMove) connector._next = link;
        else connector._link = link;
      } catch (error) {
        if (dialing != mine) return;
        if (isNoToken(error)) owner._end(error);
        else if (hasToken) owner._end(failure("bad_url", String(error)));
        else if (isMove) moveAfter(nextPause());
        else retry();
      }
    },
    _wake() {
      connector._link?._test();
      // A question that got lost with the network ends now, and not at its deadline.
      dialing?.abort();
      // A whole office comes back online at once: not all in one moment.
      const ms = Math.max(notBefore - now(), 0) + pause(1, backoff);
      if (timer && now() + ms < due) dialAfter(ms);
    },
    _end() {
      cancel(moveTimer);
      dialing?.abort();
      timer = dialing = cancel(timer);
      connector._link?._drop();
      connector._next?._drop();
      connector._link = connector._next = undefined;
      tokens._lost();
    },
  };
  return connector;
}
