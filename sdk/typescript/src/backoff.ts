// The pause before another attempt: full jitter under a ceiling that grows. Pure but for chance.
// Timers, clock and chance are the globals everywhere in the core, looked up at each call, so that
// test runners can replace them.
import type { ClientOptions } from "./types.js";

/** A random pause after so many failures in a row (from 1), in whole milliseconds. */
export function pause(
  failures: number,
  { initial = 1e3, factor = 2, cap = 3e4 }: NonNullable<ClientOptions["backoff"]> = {},
): number {
  return Math.round(Math.random() * Math.min(cap, initial * factor ** (failures - 1)));
}

let names = 0;

/** A random name of letters and digits. Works without a secure context, and where chance is a fixed number. */
export function randomName(): string {
  const part = () => Math.random().toString(36).slice(2, 12);
  return part() + part() + names++;
}
