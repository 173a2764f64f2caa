// The pause before another attempt: full jitter under a ceiling that grows. Pure but for chance.
import { env } from "./environment.js";
import type { ClientOptions } from "./types.js";

/** A random pause after so many failures in a row (from 1), in whole milliseconds. */
export function pause(
  failures: number,
  { initial = 1e3, factor = 2, cap = 3e4 }: NonNullable<ClientOptions["backoff"]> = {},
): number {
  return Math.round(env._random() * Math.min(cap, initial * factor ** (failures - 1)));
}
