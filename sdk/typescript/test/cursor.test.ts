// The cursor against a model: a room that grows, forgets and forks, and links that end anywhere. The
// reader must see each message once and in order, and every one that it does not see must be named.
import { describe, expect, test } from "vitest";
import { makeCursor } from "../src/cursor.js";
import type { GapFrame, JoinedFrame, Position, ResetFrame } from "../src/frames.js";

/** A small generator, so that a failing run can be run again by its seed. */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Sent {
  joined?: JoinedFrame;
  gap?: GapFrame;
  reset?: ResetFrame;
  seq?: number;
}

function run(seed: number): void {
  const next = chance(seed);
  const room = "a";
  let [epoch, last, forgotten] = [1, 0, 0];
  const name = () => String(epoch).padStart(16, "0");
  const cursor = makeCursor();
  // What was seen or named missing of the present epoch, as a reader would count it.
  let known = 0;
  let knownEpoch = "";
  let pending: Sent[] = [];

  const join = (): void => {
    const since: Position | undefined = cursor._position();
    const base = { type: "joined" as const, room, epoch: name() };
    if (!since) pending = [{ joined: { ...base, seq: last } }];
    else if (since.epoch != name()) {
      pending = [
        { joined: { ...base, seq: last, recovered: false } },
        { reset: { type: "reset", room, epoch: name(), seq: last, lost: 1 } },
      ];
    } else {
      const isWhole = since.seq >= forgotten;
      pending = [{ joined: { ...base, seq: since.seq, recovered: isWhole } }];
      if (!isWhole) pending.push({ gap: { type: "gap", room, from: since.seq + 1, to: forgotten } });
      for (let seq = Math.max(since.seq, forgotten) + 1; seq <= last; seq++) pending.push({ seq });
    }
  };
  const take = ({ joined, gap, reset, seq }: Sent): void => {
    if (joined) {
      const isFirst = !cursor._position();
      cursor._joined(joined);
      if (isFirst) [known, knownEpoch] = [joined.seq, joined.epoch];
    } else if (gap) {
      const hole = cursor._gap(gap);
      if (hole) {
        expect(hole[0]).toBe(known + 1);
        known = hole[1].seq;
      }
    } else if (reset) {
      cursor._reset(reset);
      [known, knownEpoch] = [reset.seq, reset.epoch];
    } else if (seq) {
      const of = cursor._message(seq);
      if (of === undefined) return expect(seq).toBeLessThanOrEqual(known);
      expect([of, seq]).toEqual([knownEpoch, known + 1]);
      known = seq;
    }
  };

  join();
  for (let step = 0; step < 200; step++) {
    const act = next(10);
    if (act < 4) pending.push({ seq: ++last });
    else if (act < 7) for (let count = next(6); count && pending.length; count--) take(pending.shift()!);
    else if (act == 7) join();
    else if (act == 8) forgotten = Math.min(last, forgotten + next(5));
    else if (known) pending.push({ seq: 1 + next(known) });
    if (act == 9 && next(8) == 0) {
      [epoch, forgotten] = [epoch + 1, last];
      pending = [];
      join();
    }
  }
  join();
  pending.forEach(take);
  expect([knownEpoch, known, cursor._position()]).toEqual([name(), last, { epoch: name(), seq: last }]);
}

describe("the cursor", () => {
  test("loses, doubles and invents nothing over 2,000 random lives of a room", { timeout: 60_000 }, () => {
    for (let seed = 1; seed <= 2000; seed++) {
      try {
        run(seed);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  });
});
