// React hooks over a client that the application made. It must not know sockets or frames.
import { createContext, createElement, useCallback, useContext, useSyncExternalStore } from "react";
import type { FunctionComponentElement, ProviderProps, ReactNode } from "react";
import type { Client } from "./index.js";
import { observe } from "./observe.js";
import { EMPTY, roomStore } from "./room-store.js";
import type { RoomView, RoomViewOptions } from "./room-store.js";
import type { ClientState, StateEntry } from "./types.js";

export type { RoomGap, RoomView, RoomViewOptions } from "./room-store.js";

const Clients = createContext<Client | undefined>(undefined);

/** Gives its children the client; it neither opens nor closes it. */
export function RoomcastProvider(props: {
  client: Client;
  children?: ReactNode;
}): FunctionComponentElement<ProviderProps<Client | undefined>> {
  return createElement(Clients.Provider, { value: props.client }, props.children);
}

/** The client of the nearest provider. */
export function useClient(): Client {
  const client = useContext(Clients);
  if (!client) throw Error("RoomcastProvider is missing");
  return client;
}

/** `client.state`. */
export function useConnection(): ClientState {
  const client = useClient();
  return useSyncExternalStore(
    useCallback((f: () => void) => observe(client, f), [client]),
    () => client.state,
    () => "idle",
  );
}

/** Joins while a component uses it. The options of the first component count. */
export function useRoom(name: string, options?: RoomViewOptions): RoomView {
  const { subscribe, view, initial } = roomStore(useClient(), name, options);
  return useSyncExternalStore(subscribe, view, initial);
}

/** The newest value of each key of a state room. */
export function useRoomState(name: string): ReadonlyMap<string, StateEntry> {
  const { subscribe, state } = roomStore(useClient(), name);
  return useSyncExternalStore(subscribe, state, () => EMPTY);
}
