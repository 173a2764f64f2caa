// A room as an immutable view for user interfaces: React, Vue and Svelte wrap it. One membership per
// client and room, however many subscribers. It must not know any of the three.
import type { Client, Room } from "./index.js";
import { observe } from "./observe.js";
import type { Member, Message, Published, PublishOptions, RoomStatus, StateEntry } from "./types.js";

/** Which view of a room; the first component's options count. */
export interface RoomViewOptions {
  /** Begin with up to so many of the latest messages. */
  history?: number;
  /** Keep `members`. */
  presence?: boolean;
  /** How many of the newest messages the view keeps; 500 if not given. */
  keep?: number;
}

/** A new object after each change; its parts keep their identity while they do not change. */
export interface RoomView {
  /** The newest messages, oldest first. */
  readonly messages: readonly Message[];
  /** The users in the room, with `presence`. */
  readonly members: ReadonlyMap<string, Member>;
  /** Users who are writing. */
  readonly typing: readonly string[];
  readonly status: RoomStatus;
  /** The room's `publish`; the same function as long as the room is. */
  readonly publish: (data: unknown, options?: PublishOptions) => Promise<Published>;
}

export interface RoomStore {
  /** Joins with the first subscriber, leaves a tick after the last one. */
  readonly subscribe: (f: () => void) => () => void;
  readonly view: () => RoomView;
  readonly state: () => ReadonlyMap<string, StateEntry>;
  /** What a server renders, and a page before it has joined. */
  readonly initial: () => RoomView;
  /** The first options count. */
  options?: RoomViewOptions;
}

/** Changes within this time (ms) are one change of the view: a flood of messages draws 60 times a second. */
const FRAME = 16;
export const EMPTY: ReadonlyMap<string, never> = new Map<string, never>();
const stores = new WeakMap<Client, Map<string, RoomStore>>();

/** The same store each time; opens nothing. */
export function roomStore(client: Client, name: string, options?: RoomViewOptions): RoomStore {
  let rooms = stores.get(client);
  if (!rooms) stores.set(client, (rooms = new Map()));
  let store = rooms.get(name);
  if (!store) rooms.set(name, (store = createStore(client, name)));
  if (options) store.options ??= options;
  return store;
}

function createStore(client: Client, name: string): RoomStore {
  const publish: RoomView["publish"] = (data, options) => (room ?? client.room(name)).publish(data, options);
  const initial: RoomView = { messages: [], members: EMPTY, typing: [], status: "joining", publish };
  const subscribers = new Set<() => void>();
  let view = initial;
  let room: Room | undefined;
  let news: Message[] = [];
  let typing = initial.typing;
  let ends: (() => void)[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const keep = () => store.options?.keep ?? 500;

  const change = () => {
    timer ??= setTimeout(draw, FRAME);
  };
  const draw = () => {
    timer = undefined;
    if (!room) return;
    const messages = news.length ? [...view.messages, ...news].slice(-keep()) : view.messages;
    const { members, status } = room;
    news = [];
    if (messages != view.messages || members != view.members || typing != view.typing || status != view.status)
      view = { messages, members, typing, status, publish };
    subscribers.forEach((f) => f());
  };

  const start = () => {
    const { keep: _, ...options } = store.options ?? {};
    try {
      // Without options of its own a component leaves the room those of another one.
      room = client.room(name, store.options && options);
    } catch {
      // The application has this room with other options: those count.
      room = client.room(name);
    }
    ends = [
      room.on("message", (message) => {
        news.push(message);
        // Timers of hidden pages are slow: what the view would not keep is not held either.
        if (news.length > 2 * keep()) news = news.slice(-keep());
        change();
      }),
      room.on("typing", ({ user, active }) => {
        if (user == null) return;
        typing = typing.filter((other) => other != user);
        if (active) typing = [...typing, user];
        change();
      }),
      observe(room, change),
    ];
    // A join that is refused for good shows as the status `left`; the room's own events say why.
    room.join().catch(change);
    change();
  };
  // A tick later, and only if nobody came meanwhile: StrictMode and a move between pages are no leave.
  const stop = () => {
    if (subscribers.size || !room) return;
    ends.forEach((end) => end());
    room.leave().catch(() => {});
    room = undefined;
    view = initial;
    news = [];
    typing = initial.typing;
  };

  const store: RoomStore = {
    subscribe(f) {
      // A function of its own for each subscriber: the same `f` may come twice.
      const subscriber = () => f();
      subscribers.add(subscriber);
      if (!room) start();
      return () => {
        subscribers.delete(subscriber);
        setTimeout(stop);
      };
    },
    view: () => view,
    state: () => room?.state ?? EMPTY,
    initial: () => initial,
  };
  return store;
}
