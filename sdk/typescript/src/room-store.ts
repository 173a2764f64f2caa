// A room as an immutable view for user interfaces: React, Vue and Svelte wrap it. One membership per
// client and room, however many subscribers. It must not know any of the three.
import type { Client, Position, Room } from "./index.js";
import { observe } from "./observe.js";
import type { Member, Message, Published, PublishOptions, RoomEvents, RoomStatus, StateEntry } from "./types.js";

/** Which view of a room; the first component's options count. */
export interface RoomViewOptions {
  /** Begin with up to so many of the latest messages. */
  history?: number;
  /** Keep `members`. */
  presence?: boolean;
  /** How many of the newest messages the view keeps; 500 if not given. */
  keep?: number;
}

/** Messages `from` to `to` of an epoch, both included, that cannot be had. */
export interface RoomGap {
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
}

/** A new object after each change; its parts keep their identity while they do not change. */
export interface RoomView {
  /** The newest messages, oldest first. */
  readonly messages: readonly Message[];
  /** The users in the room, with `presence`. */
  readonly members: ReadonlyMap<string, Member>;
  /** Users who are writing. */
  readonly typing: readonly string[];
  /** The newest hole, as long as messages from before it are shown: it is before the first of its epoch above `to`. */
  readonly gap: RoomGap | null;
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
/** So many messages has a page of history at most. */
const PAGE = 1000;
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
  const initial: RoomView = { messages: [], members: EMPTY, typing: [], gap: null, status: "joining", publish };
  const subscribers = new Set<() => void>();
  let view = initial;
  let room: Room | undefined;
  let { messages, typing, gap } = initial;
  let news: Message[] = [];
  // Where the room was read to, and how often its numbering has changed since.
  let at: Position | undefined;
  let resets = 0;
  // Whether the room was joined for the view: what the application has joined by itself it leaves by itself.
  let isOwn = true;
  let ends: (() => void)[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const keep = () => store.options?.keep ?? 500;

  const change = () => {
    timer ??= setTimeout(draw, FRAME);
  };
  const draw = () => {
    timer = undefined;
    if (!room) return;
    const { members, status } = room;
    if (news.length) show([...messages, ...news]);
    const [first] = messages;
    if (gap && first?.epoch == gap.epoch && first.seq > gap.to && messages.length >= keep()) gap = null;
    const next: RoomView = { messages, members, typing, gap, status, publish };
    if (Object.entries(next).some(([name, value]) => view[name as keyof RoomView] != value)) view = next;
    subscribers.forEach((f) => f());
  };
  const show = (all: readonly Message[]) => {
    messages = all.slice(-keep());
    news = [];
  };

  /** Reads the messages above `from` up to `to`, which the node does not send, to the place where they belong. */
  const read = async (epoch: string, from: number, to: number) => {
    const limit = Math.min(to - from, keep(), PAGE);
    if (!room || limit <= 0) return;
    const mine = resets;
    const page = await room.history({ before: to + 1, limit });
    if (mine != resets || page.epoch != epoch) return;
    const missed = page.messages.filter(({ seq }) => seq > from).map((fields) => ({ ...fields, room: name, epoch }));
    const shown = [...messages, ...news];
    const place = shown.findIndex((message) => message.epoch == epoch && message.seq > from);
    shown.splice(place < 0 ? shown.length : place, 0, ...missed);
    show(shown);
    change();
  };

  const note = (event: unknown, kind: string) => {
    if (kind == "reset") {
      // What was shown stays. The node goes on from here: after the last message that both numberings
      // have, or at the end of the new one.
      const { epoch, seq, lost } = event as RoomEvents["reset"];
      const shared = at ? at.seq - lost : seq;
      const mine = ++resets;
      gap = null;
      at = { epoch, seq };
      read(epoch, shared, seq).catch(() => {
        // What may not be read is as missing as what the node names.
        if (mine == resets) gap = { epoch, from: shared + 1, to: seq };
        change();
      });
    } else if (room?.position) {
      at = room.position;
      if (kind == "gap") {
        const { from, to, conflated } = event as RoomEvents["gap"];
        // Of what newer values stand for nothing is missing.
        if (!conflated) gap = { epoch: at.epoch, from, to };
      }
    }
    change();
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
      observe(room, note),
    ];
    isOwn = room.status == "left";
    at = isOwn ? undefined : room.position;
    // A join that is refused for good shows as the status `left`; the room's own events say why.
    room.join().catch(change);
    // The application has joined before: what the view begins with is past.
    if (at) read(at.epoch, Math.max(at.seq - (store.options?.history ?? 0), 0), at.seq).catch(change);
    change();
  };
  // A tick later, and only if nobody came meanwhile: StrictMode and a move between pages are no leave.
  const stop = () => {
    if (subscribers.size || !room) return;
    ends.forEach((end) => end());
    if (isOwn) room.leave().catch(() => {});
    room = at = undefined;
    resets++;
    view = initial;
    ({ messages, typing, gap } = view);
    news = [];
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
