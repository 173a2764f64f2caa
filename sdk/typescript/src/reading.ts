// What a member reads of a room, and what the frames about it mean: messages and the loops over them,
// state, the position, and holes, which the application closes with `load` or is told of. Must not know
// links, requests or the room's status: it may ask for another membership, and does not see it made.
import { compact } from "./compact.js";
import type { Core } from "./core.js";
import { makeCursor } from "./cursor.js";
import type { Emitter } from "./emitter.js";
import { failure, type RoomcastError } from "./errors.js";
import { fields, type GapFrame, type JoinedFrame, type Position, type ResetFrame, type ServerFrame } from "./frames.js";
import { iterate, type MessageIterator } from "./iterate.js";
import { makeLoader } from "./loader.js";
import type { People } from "./people.js";
import { makeStateMap } from "./state-map.js";
import type { Message, RoomEvents, RoomOptions } from "./types.js";

const enum Limit {
  // Positions of one's own messages with `echo: false` that may still come back.
  OwnMessages = 10_000,
}

export type Reading = ReturnType<typeof makeReading>;

/** `rejoin` joins the room again, from the position that the reading then has. */
export function makeReading(
  core: Core,
  options: RoomOptions,
  emitter: Emitter<RoomEvents>,
  people: People,
  rejoin: () => void,
) {
  const emit = emitter._emit;
  let cursor = makeCursor();
  let state = makeStateMap();
  // Whether it was joined by a position that was loaded because of a hole, and no answer has come.
  let isSecond = false;
  // What a loop that begins now ends with at once: there is no membership any more, and none is on its way.
  let ended: [RoomcastError | undefined] | undefined;
  const own = new Set<string>();
  const iterators = new Set<MessageIterator>();
  const loader = makeLoader();

  const finish = (error?: RoomcastError) => iterators.forEach((iterator) => iterator._end(error));
  const deliver = (message: Message) => {
    if (loader._message(message)) return;
    iterators.forEach((iterator) => iterator._message(message));
    emit("message", message);
  };
  const tellState = (keys: string[]) => {
    for (const key of keys) emit("state", compact({ key, entry: state._map._map.get(key) }));
  };

  // Something is missing up to `end`: the application reads it by itself, or is told.
  const onHole = (frame: GapFrame | ResetFrame, end: Position) => {
    core._holed();
    if (options.load && !isSecond) {
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
    const at = options.load && (await loader._run(options.load));
    if (!at) return;
    const kept = loader._finish(at);
    if (kept) {
      cursor._passed(at);
      return kept.forEach(deliver);
    }
    isSecond = true;
    cursor = makeCursor(at);
    rejoin();
  };

  return {
    /** Others only look at it. */
    _cursor: () => cursor,
    _state: () => state._map._read(),
    /** The node cannot go on from the position: loads again, or says that this was done already. */
    _retry: () => !isSecond && reload(),
    /** The application's state, before there is a position; nothing if it was given up. */
    _load: loader._run,
    _startAt(at: Position) {
      cursor = makeCursor(at);
    },
    /** Nothing that the application loads counts any more. */
    _giveUp: loader._end,

    /** The application wants to be a member, and reads from there. */
    _begin() {
      isSecond = false;
      ended = undefined;
      cursor = makeCursor();
      state = makeStateMap();
    },

    _joined(frame: JoinedFrame) {
      cursor._joined(frame);
      if (frame.recovered === false) core._holed();
      else isSecond = false;
    },

    /** A message of one's own that is not to come back. */
    _own(at: string) {
      own.add(at);
      // A set is in the order of adding: the first is the oldest.
      if (own.size > Limit.OwnMessages) own.delete([...own][0]!);
    },

    _loop() {
      const iterator = iterate(iterators);
      if (ended) finish(ended[0]);
      return iterator;
    },
    _isEnded: () => ended,
    /** Loops throw this; without an error, and after `close()`, they just end. */
    _end(error?: RoomcastError) {
      ended = [error?.code == "closed" ? undefined : error];
      finish(ended[0]);
    },

    /** A frame that came where the room is joined. */
    _onFrame(frame: ServerFrame) {
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
          return tellState(state._part(frame, cursor._part(frame)));
        case "signal":
          return emit("signal", fields(frame));
        default:
          people._onFrame(frame);
      }
    },
  };
}
