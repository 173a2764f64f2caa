// Vue composables over a client that the application made; call them in `setup`. A name may be a ref.
// Rooms are joined when the component is mounted, so a server opens nothing.
import { onMounted, onScopeDispose, shallowReadonly, shallowRef, toValue, watch } from "vue";
import type { MaybeRefOrGetter, ShallowRef } from "vue";
import type { Client } from "./index.js";
import { observe } from "./observe.js";
import { EMPTY, roomStore } from "./room-store.js";
import type { RoomStore, RoomView, RoomViewOptions } from "./room-store.js";
import type { ClientState, StateEntry } from "./types.js";

export type { RoomGap, RoomView, RoomViewOptions } from "./room-store.js";

function useStore<T>(find: () => RoomStore, initial: T, read: (store: RoomStore) => T): Readonly<ShallowRef<T>> {
  const value = shallowRef(initial);
  let end = () => {};
  onMounted(() =>
    watch(
      find,
      (store) => {
        const last = end;
        const show = () => (value.value = read(store));
        end = store.subscribe(show);
        last();
        show();
      },
      { immediate: true },
    ),
  );
  onScopeDispose(() => end());
  return shallowReadonly(value);
}

/** `client.state`. */
export function useConnection(client: Client): Readonly<ShallowRef<ClientState>> {
  const state = shallowRef<ClientState>("idle");
  const show = () => (state.value = client.state);
  let end = () => {};
  onMounted(() => {
    end = observe(client, show);
    show();
  });
  onScopeDispose(() => end());
  return shallowReadonly(state);
}

/** Joins while a component uses it. The options of the first component count. */
export function useRoom(
  client: Client,
  name: MaybeRefOrGetter<string>,
  options?: RoomViewOptions,
): Readonly<ShallowRef<RoomView>> {
  const find = () => roomStore(client, toValue(name), options);
  return useStore(find, find().initial(), (store) => store.view());
}

/** The newest value of each key of a state room. */
export function useRoomState(
  client: Client,
  name: MaybeRefOrGetter<string>,
): Readonly<ShallowRef<ReadonlyMap<string, StateEntry>>> {
  return useStore<ReadonlyMap<string, StateEntry>>(
    () => roomStore(client, toValue(name)),
    EMPTY,
    (store) => store.state(),
  );
}
