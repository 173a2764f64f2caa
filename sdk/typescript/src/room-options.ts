// One text for all sets of a room's options that are the same: values count, functions count as equal.
import { isRecord } from "./frames.js";
import type { RoomOptions } from "./types.js";

export function canonical(options: RoomOptions): string {
  return JSON.stringify(options, (_, value: unknown) => {
    if (typeof value == "function") return "()";
    return isRecord(value) ? Object.fromEntries(Object.entries(value).sort()) : value;
  });
}
