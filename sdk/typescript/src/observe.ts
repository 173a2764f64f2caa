// For the bindings of this package only (React, Vue, Svelte), not for applications: learn of any
// change of a handle, the ones without an event of their own included. Knows no handle's inside.
import type { Client, Room } from "./api.js";

interface Observable {
  on(name: "change", f: (event: unknown, name: string) => void): () => void;
}

/**
 * Calls `f` after any change, with the event and its name; the name is `change` where there is no
 * event: of a client its `state` and `queued`; of a room its `status`. Unlike a listener an observer
 * of `gap` and `reset` does not keep loops from throwing these. `members` and `state` are new maps
 * after each change of them, so that a snapshot can be compared by identity. Returns a function that
 * ends it.
 */
export function observe(handle: Client | Room, f: (event: unknown, name: string) => void): () => void {
  return (handle as unknown as Observable).on("change", f);
}
