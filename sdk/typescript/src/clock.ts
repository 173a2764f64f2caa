// Time as all of the core uses it. The globals are looked up at each call, so that test runners can
// replace them; nothing else of the core calls them.

export type Timer = ReturnType<typeof setTimeout>;

const enum Limit {
  // Timers hold 31 bits: a longer pause would end at once.
  TimerMs = 0x7fffffff,
}

/** Milliseconds of a clock that never goes back. */
export const now = (): number => performance.now();

export const later = (f: () => void, ms: number): Timer => setTimeout(f, Math.min(ms, Limit.TimerMs));

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => later(resolve, ms));

/** Gives nothing, to put in the timer's place. */
export const cancel = (timer: Timer | undefined): undefined => void clearTimeout(timer);
