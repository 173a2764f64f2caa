// A room's membership: joining and joining again on whatever link, and what the node's frames about
// the room mean. Knows the client only as what asks and sends.
import { cancel, later, type Timer } from "./clock.js";
import { pause } from "./backoff.js";
import { compact } from "./compact.js";
import { makeCursor } from "./cursor.js";
import { makeEmitter } from "./emitter.js";
import { failure, type RoomcastError } from "./errors.js";
import { fields, type ErrorFrame, type GapFrame, type JoinedFrame, type Position, type ResetFrame, type ServerFrame } from "./frames.js";
import type { Core } from "./core.js";
import type { MessageIterator } from "./iterate.js";
import type { Link } from "./link.js";
import { makeLoader } from "./loader.js";
import { makeMemberList } from "./members.js";
import { makePeople } from "./people.js";
import { makeStateMap } from "./state-map.js";
import { askFor, isNoToken } from "./tokens.js";
import type { Message, RoomEvents, RoomOptions, RoomStatus } from "./types.js";

const enum Limit {
  // Positions of one's own messages with `echo: false` that may still come back.
  OwnMessages = 10_000,
}

type Settle = (error?: RoomcastError) => void;

export type Membership = ReturnType<typeof makeMembership>;

export function makeMembership(core: Core, name: string) {
  const emitter = makeEmitter<RoomEvents>();
  let options: RoomOptions | undefined;
  let status: RoomStatus = "left";
  let cursor = makeCursor();
  let state = makeStateMap();
  let isWanted = false;
  // Where it is a member, and where it has asked to be one.
  let link: Link | undefined;
  let joining: { _link: Link; _id?: number } | undefined;
  let refusals = 0;
  let timer: Timer | undefined;
  // Whether it was joined by a position that was loaded because of a hole, and no answer has come.
  let isSecond = false;
  // What this connection shows, said again after each rejoin.
  let shown: { info?: unknown; status?: "active" | "away" } = {};
  const own = new Set<string>();
  const iterators = new Set<MessageIterator>();
  const waiters = new Set<Settle>();
  const loader = makeLoader();
  const emit = emitter._emit;

  /** Asks as soon as there is a link; with `isMembers` as soon as the room is joined on it. */
  const ask = async <T extends ServerFrame["type"]>(
    type: T | "leave",
    more?: object,
    isMembers?: boolean,
    on?: Link,
  ): Promise<Omit<ServerFrame & { type: T }, "type" | "id">> => {
    const error = isMembers && !isWanted ? failure("not_joined") : core._start();
    if (error) throw error;
    const frame = { type, room: name, ...more };
    return fields((await core._ask(frame, isMembers ? membership : undefined, on)) as ServerFrame & { type: T });
  };
  const leaveOn = (on: Link | undefined) => on && ask("leave", {}, false, on).catch(() => {});
  const list = makeMemberList();
  const people = makePeople(emitter, list, async (page) =>
    options?.presence ? ask("members", compact({ page })) : undefined,
  );

  const setStatus = (next: RoomStatus) => {
    status = next;
    emit("change");
  };
  const settle: Settle = (error) => {
    waiters.forEach((waiter) => waiter(error));
    waiters.clear();
  };
  const finish = (error?: RoomcastError) => iterators.forEach((iterator) => iterator._finish(error));

  /** Joins on this link. Where nothing is to be waited for, `join` is sent before this returns. */
  const enter = async (on: Link | undefined, isLenient?: boolean) => {
    if (!isWanted || !on) return;
    const mine: typeof joining = (joining = { _link: on });
    const { load, token, history, presence, since, strict, info } = options ?? {};
    let roomToken: string | undefined;
    try {
      if (load && !cursor._position()) {
        const at = await loader._run(load);
        if (!at || joining != mine) return;
        cursor = makeCursor(at);
      }
      if (token !== undefined) roomToken = await askFor(token);
    } catch (error) {
      if (joining != mine) return;
      return isNoToken(error) ? out(error, { code: error.code }) : enterLater(on);
    }
    if (joining != mine) return;
    const from = cursor._position() ?? since;
    on._send(
      compact({
        type: "join",
        id: (mine._id = core._nextId()),
        room: name,
        since: from,
        history: from ? undefined : history,
        presence,
        strict: isLenient ? undefined : strict,
        info: shown.info ?? info,
        token: roomToken,
      }),
    );
  };
  const enterLater = (on: Link, floorMs = 0) => {
    const mine = (joining = { _link: on });
    timer = later(() => {
      if (joining == mine) void enter(on);
    }, floorMs + pause(++refusals));
  };

  /** The room is left, for whatever reason; without an event it was the application's wish. */
  const out = (error: RoomcastError, event?: RoomEvents["left"]) => {
    const isTold = event && status != "joining";
    isWanted = false;
    link = joining = undefined;
    cancel(timer);
    loader._stop();
    people._left();
    core._outbox._end(failure("not_joined"), membership);
    setStatus("left");
    settle(error);
    if (isTold) {
      emit("left", event);
      finish();
    }
    core._answered();
  };

  const onLost = (lost: Link) => {
    if (joining?._link == lost) joining = undefined;
    if (link != lost) return;
    link = undefined;
    people._lost();
    setStatus("resuming");
  };

  const onJoined = (on: Link, frame: JoinedFrame) => {
    if (joining?._link != on || joining._id != frame.id) return;
    const isComplete = frame.recovered !== false;
    joining = undefined;
    link = on;
    refusals = 0;
    cursor._joined(frame);
    if (isComplete) isSecond = false;
    else core._holed();
    setStatus("joined");
    people._joined(frame);
    if (shown.status == "away") on._send({ type: "presence", room: name, status: "away" });
    settle();
    core._answered();
  };

  const deliver = (message: Message) => {
    if (loader._hold(message)) return;
    iterators.forEach((iterator) => iterator._push(message));
    emit("message", message);
  };
  const tellState = (keys: string[]) => {
    for (const key of keys) emit("state", compact({ key, entry: state._map._map.get(key) }));
    if (keys.length) emit("change");
  };

  // Something is missing up to `end`: the application reads it by itself, or is told.
  const onHole = (frame: GapFrame | ResetFrame, end: Position) => {
    core._holed();
    if (options?.load && !isSecond) {
      if (loader._begin(end)) void reload();
      return;
    }
    isSecond = false;
    if (!emitter._has(frame.type)) finish(failure(frame.type));
    const told = fields(frame);
    emit(frame.type as "gap", told as RoomEvents["gap"]);
    if (frame.type == "gap") core._emitter._emit("gap", told as RoomEvents["gap"]);
  };
  const reload = async () => {
    const at = options?.load && (await loader._run(options.load));
    if (!at) return;
    const kept = loader._finish(at);
    if (kept) {
      cursor._passed(at);
      return kept.forEach(deliver);
    }
    isSecond = true;
    cursor = makeCursor(at);
    // A member cannot join: it leaves first, and nothing of the old membership counts any more.
    const on = link ?? joining?._link;
    void leaveOn(link);
    link = undefined;
    void enter(on);
  };

  const membership = {
    name,
    on: emitter._on,
    get status() {
      return status;
    },
    get position() {
      return cursor._position();
    },
    get state() {
      return state._map._read();
    },
    get members() {
      return list._map._read();
    },
    get count() {
      return list._count;
    },
    get users() {
      return list._users;
    },
    get unread() {
      return people._marks().unread;
    },
    get read() {
      return people._marks().read;
    },
    async leave() {
      if (!isWanted) return;
      // While the client moves, these are two.
      const links = [link, joining?._link];
      out(failure("aborted"));
      finish();
      await Promise.all(links.map(leaveOn));
    },

    _ask: ask,
    _people: people,
    _iterators: iterators,
    _options: () => options,
    _link: () => link,
    _isMember: (on: Link) => link == on,
    _enter: enter,
    _onLost: onLost,

    _adopt(given: RoomOptions) {
      options = { ...given };
    },
    /** Whether nothing is to come of joining on this link. */
    _isOn: (on: Link) => !isWanted || link == on,
    /** What the node sees of this connection from now on. */
    _show(change: typeof shown) {
      shown = { ...shown, ...change };
    },

    /** Wants to be a member. */
    _join(waiter: Settle) {
      if (status == "joined") return waiter();
      waiters.add(waiter);
      if (isWanted) return;
      isWanted = true;
      isSecond = false;
      cursor = makeCursor();
      state = makeStateMap();
      setStatus("joining");
      void enter(core._joinLink());
    },
    /** The application does not wait for this any more. */
    _giveUp(waiter: Settle) {
      waiters.delete(waiter);
      if (!waiters.size && status == "joining") void membership.leave();
    },
    /** The client has ended. */
    _end(error: RoomcastError) {
      if (isWanted) out(error);
      finish(error.code == "closed" ? undefined : error);
    },

    /** A message of one's own that is not to come back. */
    _skip({ epoch, seq }: Position) {
      own.add(epoch + seq);
      // A set is in the order of adding: the first is the oldest.
      if (own.size > Limit.OwnMessages) own.delete([...own][0]!);
    },

    /** An error that answers no request: it may be about this room, or its joining. */
    _onError(on: Link, { id, room, code, message, retry_after_ms }: ErrorFrame) {
      if (!id || joining?._link != on || joining._id != id) {
        if (room == name) emit("error", failure(code, message));
      } else if (retry_after_ms !== undefined || code == "bus_unavailable") enterLater(on, retry_after_ms);
      else if (code == "unrecoverable" && options?.load) {
        // The second time the hole is told, in place of a third loading.
        if (isSecond) void enter(on, true);
        else void reload();
      } else out(failure(code, message), { code });
    },

    _onFrame(on: Link, frame: ServerFrame) {
      if (frame.type == "joined") return onJoined(on, frame);
      // An author need not be a member to learn who received a message.
      if (frame.type == "receipts") return emit("receipts", fields(frame));
      if (on != link) return;
      switch (frame.type) {
        case "message": {
          const epoch = cursor._message(frame.seq);
          if (epoch === undefined) return;
          tellState(state._message(frame));
          people._arrived(frame.seq);
          if (!own.delete(epoch + frame.seq)) deliver({ ...fields(frame), epoch });
          return;
        }
        case "gap": {
          const gap = cursor._gap(frame);
          if (gap) onHole({ ...frame, from: gap[0] }, gap[1]);
          return;
        }
        case "reset":
          cursor._reset(frame);
          return onHole(frame, frame);
        case "state":
          return tellState(state._part(frame, cursor._part(frame)));
        case "signal":
          return emit("signal", fields(frame));
        case "left":
          // The end of the room's own token is no leave where another can be had.
          if (frame.reason == "expired" && typeof options?.token == "function") {
            onLost(on);
            void enter(on);
          } else out(failure("not_joined"), compact({ reason: frame.reason }));
          return;
        default:
          people._onFrame(frame);
      }
    },
  };
  return membership;
}
