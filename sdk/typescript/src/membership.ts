// The membership of a room: joining, joining again on the client's next link, leaving, and from which
// link the room's frames count. Must not know how links are opened, nor what frames mean that do not
// begin or end a membership: those it passes on to the reading.
import { cancel, later, type Timer } from "./clock.js";
import { pause } from "./backoff.js";
import { compact } from "./compact.js";
import type { Core } from "./core.js";
import type { Emitter } from "./emitter.js";
import { failure, type RoomcastError } from "./errors.js";
import { fields, type ErrorFrame, type JoinedFrame, type ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import type { People } from "./people.js";
import { makeReading } from "./reading.js";
import { askFor, isNoToken } from "./tokens.js";
import { settle, waitIn, type Waiters } from "./waiters.js";
import type { RoomEvents, RoomOptions, RoomStatus } from "./types.js";

export type Membership = ReturnType<typeof makeMembership>;

export function makeMembership(
  core: Core,
  name: string,
  options: RoomOptions,
  emitter: Emitter<RoomEvents>,
  people: People,
) {
  const emit = emitter._emit;
  let status: RoomStatus = "left";
  let isWanted = false;
  // Where it is a member, and where it has asked to be one.
  let link: Link | undefined;
  let joining: { _link: Link; _id?: number } | undefined;
  let refusals = 0;
  let timer: Timer | undefined;
  // What this connection shows, said again after each rejoin.
  let shown: { info?: unknown; status?: "active" | "away" } = {};
  const waiters: Waiters = new Set();

  /** Asks as soon as there is a link; with `isMembers` as soon as the room is joined on it. */
  const ask = async <T extends ServerFrame["type"]>(
    type: T | "leave",
    more?: object,
    isMembers?: boolean,
    on?: Link,
  ): Promise<Omit<ServerFrame & { type: T }, "type" | "id">> => {
    core._start(isMembers && !isWanted);
    const item = { _member: isMembers ? membership : undefined, _link: on };
    return fields((await core._outbox._ask({ type, room: name, ...more }, item)) as ServerFrame & { type: T });
  };
  /** What nobody waits for by itself; dropped where the room is not joined. */
  const say = (type: string, more: object, on = link) => on?._write(core._encode({ type, room: name, ...more }));
  // Where the node knows of it: while the client moves these are two.
  const links = () => [link, joining?._link];
  const leaveOn = (on: Link | undefined) => on && ask("leave", {}, false, on).catch(() => {});

  const reading = makeReading(core, options, emitter, people, () => {
    // A member cannot join: it leaves first, where it asked to be one too, and nothing of the old
    // membership counts any more.
    links().forEach(leaveOn);
    if (link) onLost(link);
    void enter(core._joinLink());
  });

  const setStatus = (next: RoomStatus) => {
    status = next;
    emit("change");
  };

  /** Joins on this link. Where nothing is to be waited for, `join` is sent before this returns. */
  const enter = async (on: Link | undefined, isLenient?: boolean) => {
    if (!isWanted || !on) return;
    const mine: typeof joining = (joining = { _link: on });
    const { load, token, history, presence, since, strict, info } = { ...options, ...shown };
    let roomToken: string | undefined;
    try {
      if (load && !reading._cursor()._position()) {
        const at = await reading._load(load);
        if (!at || joining != mine) return;
        reading._startAt(at);
      }
      if (token !== undefined) roomToken = await askFor(token);
      if (joining != mine) return;
      const from = reading._cursor()._position() ?? since;
      const more = {
        id: (mine._id = core._nextId()),
        since: from,
        history: from ? undefined : history,
        presence,
        strict: isLenient ? undefined : strict,
        info,
        token: roomToken,
      };
      say("join", more, on);
    } catch (error) {
      if (joining != mine) return;
      // What has its number cannot be written.
      if (mine._id || isNoToken(error)) refuse(error as RoomcastError);
      else enterLater(on);
    }
  };
  const enterLater = (on: Link, floorMs = 0) => {
    const mine = (joining = { _link: on });
    timer = later(() => {
      if (joining == mine) void enter(on);
    }, floorMs + pause(++refusals));
  };

  /** The room is left, for whatever reason. The event is told unless it refuses a first join: then loops throw. */
  const out = (error: RoomcastError, event?: RoomEvents["left"]) => {
    const isFirst = status == "joining";
    isWanted = false;
    link = joining = undefined;
    shown = {};
    cancel(timer);
    reading._giveUp();
    people._end();
    core._outbox._end(failure("not_joined"), membership);
    setStatus("left");
    settle(waiters, error);
    if (!reading._isEnded()) reading._end(event && isFirst ? error : undefined);
    if (event && !isFirst) emit("left", event);
    core._answered();
  };

  const refuse = (error: RoomcastError) => out(error, { code: error.code });

  const onLost = (lost: Link) => {
    if (joining?._link == lost) joining = undefined;
    if (link != lost) return;
    link = undefined;
    people._lost();
    if (status == "joined") setStatus("resuming");
  };

  const onJoined = (on: Link, frame: JoinedFrame) => {
    if (joining?._link != on || joining._id != frame.id) return;
    joining = undefined;
    link = on;
    refusals = 0;
    reading._joined(frame);
    people._joined(frame);
    if (shown.status == "away") say("presence", { status: "away" });
    complete();
    core._answered();
  };
  // Of a room with state, when the snapshot is there: who waits for the room wants to read it.
  const complete = () => {
    if (!reading._cursor()._isWhole()) return;
    setStatus("joined");
    settle(waiters);
  };

  const leave = async () => {
    if (!isWanted) return;
    const known = links();
    out(failure("aborted"));
    await Promise.all(known.map(leaveOn));
  };

  const membership = {
    _reading: reading,
    _ask: ask,
    _say: say,
    _status: () => status,
    leave,
    _enter: enter,
    _lost: onLost,
    /** Whether nothing is to come of joining on this link. */
    _isOn: (on: Link) => !isWanted || link == on,

    async join({ signal }: { signal?: AbortSignal } = {}) {
      try {
        if (signal?.aborted) throw failure("aborted");
        core._start();
      } catch (error) {
        if (!isWanted) reading._end(error as RoomcastError);
        throw error;
      }
      if (status == "joined") return;
      if (!isWanted) {
        isWanted = true;
        reading._begin();
        setStatus("joining");
        void enter(core._joinLink());
      }
      await waitIn(waiters, (waiter) =>
        signal?.addEventListener("abort", () => {
          waiter(failure("aborted"));
          if (!waiters.size && status == "joining") void leave();
        }),
      );
    },

    async presence(change: typeof shown) {
      const answer = await ask("presence", change, true);
      shown = { ...shown, ...change };
      return answer;
    },

    /** The client has ended. */
    _end(error: RoomcastError) {
      reading._end(error);
      if (isWanted) out(error);
    },

    /** An error that answers no request: it may be about this room, or its joining. */
    _onError(on: Link, { id, room, code, message, retry_after_ms }: ErrorFrame) {
      if (!id || joining?._link != on || joining._id != id) {
        // A join that was given up has told its caller so.
        if (room == name && code != "cancelled") emit("error", failure(code, message));
      } else if (retry_after_ms !== undefined || code == "bus_unavailable") enterLater(on, retry_after_ms);
      else if (code == "unrecoverable" && options.load) {
        // The second time the hole is told, in place of a third loading.
        if (reading._retry()) joining = undefined;
        else void enter(on, true);
      } else refuse(failure(code, message));
    },

    _onFrame(on: Link, frame: ServerFrame) {
      if (frame.type == "joined") return onJoined(on, frame);
      // An author need not be a member to learn who received a message.
      if (frame.type == "receipts") return emit("receipts", fields(frame));
      if (on != link) return;
      if (frame.type != "left") {
        reading._onFrame(frame);
        if (frame.type == "state") complete();
      } else if (frame.reason == "expired" && typeof options.token == "function") {
        // The end of the room's own token is no leave where another can be had.
        onLost(on);
        // While the client moves it may have asked on the other link already.
        if (!joining) void enter(on);
      } else out(failure("not_joined"), compact({ reason: frame.reason }));
    },
  };
  return membership;
}
