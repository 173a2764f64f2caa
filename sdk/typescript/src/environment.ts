// Time, chance and HTTP as the client uses them, and the one clamp that timers need. Looked up at
// each call, so that a test may replace the globals at any time.
import type { Environment } from "./types.js";

// Timers hold 31 bits: a longer pause would end at once.
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function environment(given: Partial<Environment> = {}): Environment {
  return {
    setTimeout: (f, ms) => setTimeout(f, Math.min(ms, LONGEST_TIMER_MS)),
    clearTimeout: (timer) => clearTimeout(timer as number),
    now: () => performance.now(),
    random: () => Math.random(),
    ...(typeof fetch == "function" && { fetch: (url: string, init: RequestInit) => fetch(url, init) }),
    ...given,
  };
}

/** A random name of 20 visible characters. Works without a secure context. */
export function randomName(random: () => number): string {
  let name = "";
  while (name.length < 20) name += random().toString(36).slice(2, 12);
  return name.slice(0, 20);
}
