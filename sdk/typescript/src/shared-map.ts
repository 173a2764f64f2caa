// A map that is handed out as a snapshot: what a reader was given never changes, and is copied only
// if somebody has read it since the last change.

export interface SharedMap<V> {
  /** For looking only. */
  _map: Map<string, V>;
  _read(): ReadonlyMap<string, V>;
  _write(): Map<string, V>;
  _replace(map: Map<string, V>): void;
}

export function shareMap<V>(): SharedMap<V> {
  let isRead = false;
  const shared: SharedMap<V> = {
    _map: new Map(),
    _read() {
      isRead = true;
      return shared._map;
    },
    _write() {
      if (isRead) shared._replace(new Map(shared._map));
      return shared._map;
    },
    _replace(map) {
      shared._map = map;
      isRead = false;
    },
  };
  return shared;
}
