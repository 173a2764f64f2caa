// Listeners by name. What a listener throws is reported, and stops neither the others nor the client.

export class Emitter<E> {
  /** @internal */
  _listeners = new Map<keyof E | "change", Set<(event: never) => void>>();

  /** Calls `f` at each event of that name. Returns a function that ends it. */
  on<K extends keyof E>(name: K, f: (event: E[K]) => void): () => void {
    // A function of its own for each call, so that `f` may listen twice.
    const listener = (event: E[K]) => f(event);
    let listeners = this._listeners.get(name);
    if (!listeners) this._listeners.set(name, (listeners = new Set()));
    listeners.add(listener);
    return () => void this._listeners.get(name)?.delete(listener);
  }

  /** @internal */
  _has(name: keyof E): boolean {
    return !!this._listeners.get(name)?.size;
  }

  /** @internal */
  _emit<K extends keyof E>(name: K, event: E[K]): void {
    this._listeners.get(name)?.forEach((listener) => call(listener as (event: E[K]) => void, event));
  }

  /** Tells observers (see `observe.ts`) that something of the handle is different now. @internal */
  _changed(): void {
    this._listeners.get("change")?.forEach((listener) => call(listener as (event: undefined) => void, undefined));
  }
}

function call<T>(listener: (event: T) => void, event: T): void {
  try {
    listener(event);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}
