// The pause before another attempt: full jitter under a ceiling that grows. Pure.
import type { ClientOptions } from "./types.js";

/** A random pause after so many failures in a row (from 1), in milliseconds. */
export function pause(
  failures: number,
  random: () => number,
  { initial = 1e3, factor = 2, cap = 3e4 }: NonNullable<ClientOptions["backoff"]> = {},
): number {
  return random() * Math.min(cap, initial * factor ** (failures - 1));
}
