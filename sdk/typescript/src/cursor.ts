// How far the application has read one room, and the only frames that move that: `joined`, `message`,
// `gap`, `reset`, and the last `state` of a snapshot. Pure; it drops what is not above the position,
// and makes no hole out of numbers.
import type { GapFrame, JoinedFrame, Position, ResetFrame, StateFrame } from "./frames.js";

const enum Snapshot {
  None,
  Announced,
  Begun,
}

export type Cursor = ReturnType<typeof makeCursor>;

export function makeCursor(position?: Position) {
  // Where the node goes on from, while a hole is not named yet or a snapshot is on its way. The
  // position stays behind: a connection lost in between must hide nothing.
  let ahead: Position | undefined;
  let snapshot = Snapshot.None;

  const stand = ({ epoch, seq }: Position) => {
    position = { epoch, seq };
    ahead = undefined;
    snapshot = Snapshot.None;
  };
  const expect = (at: Position, stage: Snapshot) => {
    ahead = at;
    snapshot = stage;
  };

  return {
    /** What to resume from. */
    _position: () => position,
    /** Whether no part of a snapshot is to come. */
    _isWhole: () => !snapshot,

    _joined(at: JoinedFrame) {
      if (at.state) expect(at, Snapshot.Announced);
      else if (position && at.recovered === false) expect(at, Snapshot.None);
      else stand(further(position, at));
    },

    /** The message's epoch; nothing if the application has the message, or gets it by a snapshot. */
    _message(seq: number): string | undefined {
      if (snapshot || !position) return;
      // A node that skipped the hole it owed has none to name; numbers alone make none.
      const from = ahead ? further(position, ahead) : position;
      if (seq <= from.seq) return;
      stand({ epoch: from.epoch, seq });
      return from.epoch;
    },

    /** Where the hole begins, and where it ends; nothing if nothing is missing here. */
    _gap({ from, to, state }: GapFrame): [from: number, end: Position] | undefined {
      const epoch = (ahead ?? position)?.epoch;
      if (!epoch) return;
      const known = position?.epoch == epoch ? position.seq : 0;
      const end = { epoch, seq: to };
      if (state) expect(end, Snapshot.Announced);
      else if (to > known && !snapshot) stand(end);
      return to > known ? [Math.max(from, known + 1), end] : undefined;
    },

    _reset(at: ResetFrame) {
      if (at.state) expect(at, Snapshot.Announced);
      else stand(at);
    },

    /** A part of a snapshot; whether it is the first. */
    _part(at: StateFrame): boolean {
      // Another snapshot is announced before it begins.
      const isFirst = snapshot != Snapshot.Begun;
      if (at.more) expect(at, Snapshot.Begun);
      else stand(at);
      return isFirst;
    },

    /** The application knows everything up to here by another way. */
    _passed(at: Position) {
      if (position) position = further(at, position);
    },
  };
}

// `at`, unless `stood` is further in the same epoch.
function further(stood: Position | undefined, at: Position): Position {
  return stood && stood.epoch == at.epoch && stood.seq > at.seq ? stood : at;
}
