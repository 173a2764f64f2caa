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

/** Ends early where the signal does: a timer that is left would keep a Node process from ending. */
export const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = later(resolve, ms);
    signal?.addEventListener("abort", () => resolve(cancel(timer)));
  });

/** Gives nothing, to put in the timer's place. */
export const cancel = (timer: Timer | undefined): undefined => void clearTimeout(timer);
