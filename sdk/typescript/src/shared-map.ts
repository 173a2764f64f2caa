// A map that is handed out as a snapshot: what a reader was given never changes, and is copied only
// if somebody has read it since the last change.

export class SharedMap<V> {
  /** @internal */
  _map = new Map<string, V>();
  /** @internal */
  _isRead = false;

  /** @internal */
  _read(): ReadonlyMap<string, V> {
    this._isRead = true;
    return this._map;
  }

  /** @internal */
  _write(): Map<string, V> {
    if (this._isRead) this._replace(new Map(this._map));
    return this._map;
  }

  /** @internal */
  _replace(map: Map<string, V>): void {
    this._map = map;
    this._isRead = false;
  }
}
