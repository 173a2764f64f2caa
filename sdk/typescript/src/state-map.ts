// The values of a state room. A snapshot takes the place of the whole map when its last part has
// come, so that a reader never sees half of one. Pure.
import type { MessageFrame, StateFields, StateFrame } from "./frames.js";
import { SharedMap } from "./shared-map.js";
import type { StateEntry } from "./types.js";

export class StateMap {
  _map = new SharedMap<StateEntry>();
  // Whether the room keeps state: a message without a key sets a value only there.
  _isKept = false;
  /** @internal */
  _parts = new Map<string, StateEntry>();

  /** Takes a part of a snapshot; after the last one the keys that are different now. */
  _part(frame: StateFrame, isFirst: boolean): string[] {
    this._isKept = true;
    if (isFirst) this._parts = new Map();
    for (const entry of frame.entries) this._parts.set(entry.key ?? "", value(entry));
    if (frame.more) return [];
    const before = this._map._map;
    this._map._replace(this._parts);
    return [
      ...[...before.keys()].filter((key) => !this._parts.has(key)),
      ...[...this._parts].filter(([key, entry]) => before.get(key)?.seq !== entry.seq).map(([key]) => key),
    ];
  }

  /** Takes a message; the key that it set or removed, if any. */
  _message(message: MessageFrame): string | undefined {
    const key = message.state_key ?? "";
    if (key) this._isKept = true;
    if (!this._isKept) return;
    if (message.remove) this._map._write().delete(key);
    else this._map._write().set(key, value(message));
    return key;
  }
}

function value({ data, seq, time, user, points }: StateFields): StateEntry {
  return { data, seq, time, ...(user !== undefined && { user }), ...(points && { points }) };
}
