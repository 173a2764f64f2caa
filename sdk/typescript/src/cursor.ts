// How far the application has read one room, and the only frames that move that: `joined`, `message`,
// `gap`, `reset`, and the last `state` of a snapshot. Pure; it drops what is not above the position,
// and makes no hole out of numbers.
import type { Position } from "./frames.js";

export class Cursor {
  /** What to resume from. */
  _position: Position | undefined;
  // Where the node goes on from, while a hole is not named yet or a snapshot is on its way. The
  // position stays behind: a connection lost in between must hide nothing.
  /** @internal */
  _ahead: Position | undefined;
  // A snapshot: announced, or begun.
  /** @internal */
  _snapshot: "" | "announced" | "begun" = "";

  constructor(since?: Position) {
    this._position = since;
  }

  _joined(at: Position, recovered: boolean | undefined, hasState: boolean | undefined): void {
    const stood = this._position;
    if (hasState) this._expectSnapshot(at);
    else if (stood && recovered === false) {
      this._ahead = at;
      this._snapshot = "";
    } else this._stand(stood ? further(stood, at) : at);
  }

  /** The message's epoch; nothing if the application has the message, or gets it by a snapshot. */
  _message(seq: number): string | undefined {
    const stood = this._position;
    if (this._snapshot || !stood) return;
    // A node that skipped the hole it owed has none to name; numbers alone make none.
    const from = this._ahead ? further(stood, this._ahead) : stood;
    if (seq <= from.seq) return;
    this._stand({ epoch: from.epoch, seq });
    return from.epoch;
  }

  /** The first seq that is missing here; nothing if nothing is. */
  _gap(from: number, to: number, hasState: boolean | undefined): number | undefined {
    const stood = this._position;
    const epoch = (this._ahead ?? stood)?.epoch;
    if (!epoch) return;
    const known = stood?.epoch == epoch ? stood.seq : 0;
    if (hasState) this._expectSnapshot({ epoch, seq: to });
    else if (to > known && !this._snapshot) this._stand({ epoch, seq: to });
    return to > known ? Math.max(from, known + 1) : undefined;
  }

  _reset(at: Position, hasState: boolean | undefined): void {
    if (hasState) this._expectSnapshot(at);
    else this._stand(at);
  }

  /** A part of a snapshot; whether it is the first. */
  _part(at: Position, more: boolean): boolean {
    const ahead = this._ahead;
    const isFirst = this._snapshot != "begun" || ahead?.seq != at.seq || ahead.epoch != at.epoch;
    if (more) {
      this._ahead = at;
      this._snapshot = "begun";
    } else this._stand(at);
    return isFirst;
  }

  /** The application knows everything up to here by another way. */
  _passed(at: Position): void {
    if (this._position) this._position = further(at, this._position);
  }

  /** @internal */
  _expectSnapshot(at: Position): void {
    this._ahead = at;
    this._snapshot = "announced";
  }

  /** @internal */
  _stand(at: Position): void {
    this._position = { epoch: at.epoch, seq: at.seq };
    this._ahead = undefined;
    this._snapshot = "";
  }
}

// `at`, unless `stood` is further in the same epoch.
function further(stood: Position, at: Position): Position {
  return stood.epoch == at.epoch && stood.seq > at.seq ? stood : at;
}
