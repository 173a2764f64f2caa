// Time and chance as all of the core uses them: one object, so that a test may replace any of it. The
// globals are looked up at each call, for test runners that replace those.

// Timers hold 31 bits: a longer pause would end at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export type Timer = ReturnType<typeof setTimeout>;

export const env = {
  /** Calls `f` after so many milliseconds. */
  _later: (f: () => void, ms: number): Timer => setTimeout(f, Math.min(ms, LONGEST_TIMER_MS)),
  _cancel: (timer: Timer | undefined): void => clearTimeout(timer),
  /** Milliseconds of a clock that never goes back. */
  _now: (): number => performance.now(),
  /** From 0, below 1. */
  _random: (): number => Math.random(),
};

/** A random name of 20 visible characters. Works without a secure context. */
export function randomName(): string {
  let name = "";
  while (name.length < 20) name += env._random().toString(36).slice(2, 12);
  return name.slice(0, 20);
}
