// Listeners by name, and observers of all that happens. What a listener throws is reported, and stops
// neither the others nor the client.

/** What observers of a handle hear besides its events: something without an event of its own changed. */
export interface Observed {
  change: undefined;
}
/** Adds a listener; what it returns takes it away again. */
export type On<E> = <K extends keyof E>(name: K, f: (event: E[K]) => void) => () => void;

export function makeEmitter<E>() {
  type All = E & Observed;
  const listeners = new Map<keyof All, Set<(event: never, name: never) => void>>();
  const of = (name: keyof All) => {
    const known = listeners.get(name) ?? new Set();
    listeners.set(name, known);
    return known;
  };
  const on: On<E> = (name, f) => {
    of(name).add(f);
    return () => void of(name).delete(f);
  };
  type Emit = <K extends keyof All>(name: K, ...event: undefined extends All[K] ? [] : [All[K]]) => void;
  // Observers listen to `change`, and get every other event too (see `observe.ts`).
  const emit: Emit = (name: keyof All, event?: unknown) =>
    new Set([...of(name), ...of("change")]).forEach((listener) => {
      try {
        (listener as (event: unknown, name: unknown) => void)(event, name);
      } catch (error) {
        setTimeout(() => {
          throw error;
        });
      }
    });
  return { _on: on, _emit: emit, _has: (name: keyof E) => of(name).size > 0 };
}

export type Emitter<E> = ReturnType<typeof makeEmitter<E>>;
