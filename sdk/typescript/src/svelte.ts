// Stores for Svelte over a client that the application made: objects with `subscribe`, so this needs
// nothing of Svelte itself. Rooms are joined by the first subscriber in a browser; a server opens nothing.
import type { Client } from "./index.js";
import { observe } from "./observe.js";
import { EMPTY, roomStore } from "./room-store.js";
import type { RoomView, RoomViewOptions } from "./room-store.js";
import type { ClientState, StateEntry } from "./types.js";

export type { RoomGap, RoomView, RoomViewOptions } from "./room-store.js";

/** A store as Svelte expects it. */
export interface ReadableStore<T> {
  /** Calls `run` with the value at once and after each change; returns a function that ends it. */
  subscribe(run: (value: T) => void): () => void;
}

function readable<T>(initial: () => T, read: () => T, listen: (f: () => void) => () => void): ReadableStore<T> {
  return {
    subscribe(run) {
      if (typeof document == "undefined") {
        run(initial());
        return () => {};
      }
      let last = read();
      const end = listen(() => {
        const value = read();
        if (value !== last) run((last = value));
      });
      run(last);
      return end;
    },
  };
}

/** `client.state`. */
export function connection(client: Client): ReadableStore<ClientState> {
  return readable<ClientState>(() => "idle", () => client.state, (f) => observe(client, f));
}

/** Joins while a component uses it. The options of the first store count. */
export function room(client: Client, name: string, options?: RoomViewOptions): ReadableStore<RoomView> {
  const { initial, view, subscribe } = roomStore(client, name, options);
  return readable(initial, view, subscribe);
}

/** The newest value of each key of a state room. */
export function roomState(client: Client, name: string): ReadableStore<ReadonlyMap<string, StateEntry>> {
  const { state, subscribe } = roomStore(client, name);
  return readable<ReadonlyMap<string, StateEntry>>(() => EMPTY, state, subscribe);
}
