// A room's membership: joining and joining again on whatever link, and what the node's frames about
// the room mean. Knows the client only as what asks and sends.
import { cancel, later, type Timer } from "./clock.js";
import { pause, randomName } from "./backoff.js";
import { compact } from "./compact.js";
import { makeCursor } from "./cursor.js";
import { makeEmitter } from "./emitter.js";
import { failure, type RoomcastError } from "./errors.js";
import { fields, type AckFrame, type ErrorFrame, type GapFrame, type JoinedFrame, type Position, type ResetFrame, type ServerFrame } from "./frames.js";
import type { Core, RoomInside } from "./core.js";
import { iterate, type MessageIterator } from "./iterate.js";
import { publishFrame } from "./publish.js";
import type { Room } from "./api.js";
import type { Link } from "./link.js";
import { makeLoader } from "./loader.js";
import { makeMemberList } from "./members.js";
import { makePeople } from "./people.js";
import { canonical } from "./room-options.js";
import { makeStateMap } from "./state-map.js";
import { askFor, isNoToken } from "./tokens.js";
import { settle, waitIn, type Waiters } from "./waiters.js";
import type { Message, RoomEvents, RoomOptions, RoomStatus } from "./types.js";

const enum Limit {
  // Positions of one's own messages with `echo: false` that may still come back.
  OwnMessages = 10_000,
}

export function makeRoom(core: Core, name: string): Room & RoomInside {
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
  // What a loop that begins now ends with at once: there is no membership any more, and none is on its way.
  let ended: [RoomcastError | undefined] | undefined;
  const own = new Set<string>();
  const iterators = new Set<MessageIterator>();
  const waiters: Waiters = new Set();
  const loader = makeLoader();
  const emit = emitter._emit;

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
  const leaveOn = (on: Link | undefined) => on && ask("leave", {}, false, on).catch(() => {});
  const list = makeMemberList();
  const people = makePeople(emitter, list, async (page) =>
    options?.presence ? ask("members", { page }) : undefined,
  );

  const setStatus = (next: RoomStatus) => {
    status = next;
    emit("change");
  };
  const finish = (error?: RoomcastError) => iterators.forEach((iterator) => iterator._end(error));
  /** Loops throw this; without an error, and after `close()`, they just end. */
  const endLoops = (error?: RoomcastError) => {
    ended = [error?.code == "closed" ? undefined : error];
    finish(ended[0]);
  };

  /** Joins on this link. Where nothing is to be waited for, `join` is sent before this returns. */
  const enter = async (on: Link | undefined, isLenient?: boolean) => {
    if (!isWanted || !on) return;
    const mine: typeof joining = (joining = { _link: on });
    const { load, token, history, presence, since, strict, info } = { ...options, ...shown };
    let roomToken: string | undefined;
    try {
      if (load && !cursor._position()) {
        const at = await loader._run(load);
        if (!at || joining != mine) return;
        cursor = makeCursor(at);
      }
      if (token !== undefined) roomToken = await askFor(token);
      if (joining != mine) return;
      const from = cursor._position() ?? since;
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
    loader._end();
    people._end();
    core._outbox._end(failure("not_joined"), membership);
    setStatus("left");
    settle(waiters, error);
    if (!ended) endLoops(event && isFirst ? error : undefined);
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
    cursor._joined(frame);
    if (frame.recovered === false) core._holed();
    else isSecond = false;
    people._joined(frame);
    if (shown.status == "away") say("presence", { status: "away" });
    complete();
    core._answered();
  };
  // Of a room with state, when the snapshot is there: who waits for the room wants to read it.
  const complete = () => {
    if (!cursor._isWhole()) return;
    setStatus("joined");
    settle(waiters);
  };

  const deliver = (message: Message) => {
    if (loader._message(message)) return;
    iterators.forEach((iterator) => iterator._message(message));
    emit("message", message);
  };
  const tellState = (keys: string[]) => {
    for (const key of keys) emit("state", compact({ key, entry: state._map._map.get(key) }));
  };

  // Something is missing up to `end`: `load` reads it, or listeners get the event.
  const onHole = (frame: GapFrame | ResetFrame, end: Position) => {
    core._holed();
    if (options?.load && !isSecond) {
      if (loader._gap(end)) void reload();
      return;
    }
    isSecond = false;
    if (!emitter._has(frame.type)) finish(failure(frame.type));
    const told = fields(frame) as RoomEvents["gap"];
    emit(frame.type as "gap", told);
    if (frame.type == "gap") core._holed(told);
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
    // A member cannot join: it leaves first, where it asked to be one too, and nothing of the old
    // membership counts any more. While the client moves, these are two.
    [link, joining?._link].forEach((on) => leaveOn(on));
    if (link) onLost(link);
    void enter(core._joinLink());
  };

  const membership: Room & RoomInside = {
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
    async join({ signal } = {}) {
      try {
        if (signal?.aborted) throw failure("aborted");
        core._start();
      } catch (error) {
        if (!isWanted) endLoops(error as RoomcastError);
        throw error;
      }
      if (status == "joined") return;
      if (!isWanted) {
        isWanted = true;
        isSecond = false;
        ended = undefined;
        cursor = makeCursor();
        state = makeStateMap();
        setStatus("joining");
        void enter(core._joinLink());
      }
      await waitIn(waiters, (waiter) =>
        signal?.addEventListener("abort", () => {
          waiter(failure("aborted"));
          if (!waiters.size && status == "joining") void membership.leave();
        }),
      );
    },
    async leave() {
      core._live();
      if (!isWanted) return;
      // While the client moves, these are two.
      const links = [link, joining?._link];
      out(failure("aborted"));
      await Promise.all(links.map(leaveOn));
    },

    async publish(data, options = {}) {
      core._start();
      const { echo, signal, key = randomName() } = options;
      const frame = publishFrame(name, cursor._position(), data, key, options);
      const { epoch, seq, time } = (await core._outbox._publish(frame, name, signal)) as AckFrame;
      if (echo === false) {
        own.add(epoch + seq);
        // A set is in the order of adding: the first is the oldest.
        if (own.size > Limit.OwnMessages) own.delete([...own][0]!);
      }
      return { epoch, seq, time };
    },
    signal: (event, data) => say("signal", { event, data }),
    typing: (active = true) => say("typing", { active }),
    async received({ epoch, seq }, read) {
      await ask("received", { epoch, seq, read }, true);
      return people._marks();
    },
    history: (options) => ask("history", options),
    list: (options) => ask("members", options),
    async presence(change) {
      const answer = await ask("presence", change, true);
      shown = { ...shown, ...change };
      return answer;
    },
    [Symbol.asyncIterator]() {
      const iterator = iterate(iterators);
      if (ended) finish(ended[0]);
      return iterator;
    },

    _enter: enter,
    _lost: onLost,

    /** Takes the application's options: the first that it gives, and later ones that are the same. */
    _adopt(given: RoomOptions) {
      if (options && canonical(options) != canonical(given)) throw failure("room_options");
      options ??= { ...given };
    },
    /** Whether nothing is to come of joining on this link. */
    _isOn: (on: Link) => !isWanted || link == on,
    /** The client has ended. */
    _end(error: RoomcastError) {
      endLoops(error);
      if (isWanted) out(error);
    },

    /** An error that answers no request: it may be about this room, or its joining. */
    _onError(on: Link, { id, room, code, message, retry_after_ms }: ErrorFrame) {
      if (!id || joining?._link != on || joining._id != id) {
        // The join was given up, and its caller has the error already.
        if (room == name && code != "cancelled") emit("error", failure(code, message));
      } else if (retry_after_ms !== undefined || code == "bus_unavailable") enterLater(on, retry_after_ms);
      else if (code == "unrecoverable" && options?.load) {
        // The second time listeners get the hole, in place of a third loading.
        if (isSecond) void enter(on, true);
        else {
          joining = undefined;
          void reload();
        }
      } else refuse(failure(code, message));
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
          people._message(frame.seq, frame.user ?? frame.connection);
          if (!own.delete(epoch + frame.seq)) deliver({ ...fields(frame), epoch });
          return;
        }
        case "gap": {
          const gap = cursor._gap(frame);
          if (!gap) return;
          people._message(frame.to);
          return onHole({ ...frame, from: gap[0] }, gap[1]);
        }
        case "reset":
          cursor._reset(frame);
          onHole(frame, frame);
          return people._reset(frame.seq);
        case "state":
          tellState(state._part(frame, cursor._part(frame)));
          return complete();
        case "signal":
          return emit("signal", fields(frame));
        case "left":
          // The end of the room's own token is no leave where another can be had.
          if (frame.reason == "expired" && typeof options?.token == "function") {
            onLost(on);
            // While the client moves it may have asked on the other link already.
            if (!joining) void enter(on);
          } else out(failure("not_joined"), compact({ reason: frame.reason }));
          return;
        default:
          people._onFrame(frame);
      }
    },
  };
  return membership;
}
