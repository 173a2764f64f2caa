// Whether two sets of a room's options differ: values are compared, functions count as equal.
import { isRecord } from "./frames.js";
import type { RoomOptions } from "./types.js";

export function differ(a: RoomOptions, b: RoomOptions): boolean {
  return canonical(a) != canonical(b);
}

function canonical(options: RoomOptions): string {
  return JSON.stringify(options, (_, value: unknown) => {
    if (typeof value == "function") return "()";
    return isRecord(value) ? Object.fromEntries(Object.entries(value).sort()) : value;
  });
}
