// The values of a state room. A snapshot takes the place of the whole map when its last part has
// come, so that a reader never sees half of one. Pure.
import type { MessageFields, StateFields, StateFrame } from "./frames.js";
import { compact } from "./compact.js";
import { shareMap } from "./shared-map.js";
import type { StateEntry } from "./types.js";

export type StateMap = ReturnType<typeof makeStateMap>;

export function makeStateMap() {
  const map = shareMap<StateEntry>();
  // Whether the room keeps state: a message without a key sets a value only there.
  let isKept = false;
  let parts = new Map<string, StateEntry>();

  return {
    _map: map,

    /** Takes a part of a snapshot; after the last one the keys that there are and were. */
    _part(frame: StateFrame, isFirst: boolean): string[] {
      isKept = true;
      if (isFirst) parts = new Map();
      for (const entry of frame.entries) parts.set(entry.key ?? "", value(entry));
      if (frame.more) return [];
      const keys = new Set([...map._map.keys(), ...parts.keys()]);
      map._replace(parts);
      return [...keys];
    },

    /** Takes a message; the key that it set or removed, if any. */
    _message(message: MessageFields): string[] {
      const key = message.state_key ?? "";
      isKept ||= !!key;
      if (!isKept) return [];
      if (message.remove) map._write().delete(key);
      else map._write().set(key, value(message));
      return [key];
    },
  };
}

function value({ data, seq, time, user, points }: StateFields): StateEntry {
  return compact({ data, seq, time, user, points });
}
