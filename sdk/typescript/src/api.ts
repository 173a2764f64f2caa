// What applications call: the two handles. Types only; `client.ts` and `room.ts` make them.
import type { On } from "./emitter.js";
import type { Position, PresenceStatus } from "./frames.js";
import type {
  ClientEvents,
  ClientOptions,
  ClientState,
  HistoryPage,
  Member,
  MemberPage,
  Message,
  Published,
  PublishOptions,
  ReadMarks,
  RoomEvents,
  RoomOptions,
  RoomStatus,
  Shown,
  StateEntry,
} from "./types.js";

/** A client of a node: one connection, whatever becomes of it, and the rooms on it. */
export interface Client {
  /** `idle` before the first call and after a long silence, `closed` for good. */
  readonly state: ClientState;
  /** Publishes that are not acknowledged yet. */
  readonly queued: number;
  /** The id that the node gave the present connection; undefined while there is none. */
  readonly connection: string | undefined;
  /** Resolves when the node has taken the connection. */
  connect(): Promise<void>;
  /** Ends the client for good: everything that waits rejects with `closed`. */
  close(): Promise<void>;
  /** The handle of a room, the same each time. Options that differ throw `room_options`. */
  room(name: string, options?: RoomOptions): Room;
  /** Calls `f` at each event of that name. Returns a function that ends it. */
  on: On<ClientEvents>;
}

/** What `Client` is: a constructor that never throws. */
export interface ClientConstructor {
  /** Opens nothing; the first `connect`, `join` or `publish` does. */
  new (url: string, options?: ClientOptions): Client;
}

/** A room of a client. `for await` gives its messages from then on. */
export interface Room extends AsyncIterable<Message> {
  readonly name: string;
  readonly status: RoomStatus;
  /** How far the room is read: what to resume from. */
  readonly position: Position | undefined;
  /** The values of a state room; `""` is the room's own. Another map after each change. */
  readonly state: ReadonlyMap<string, StateEntry>;
  /** The users in the room, with the option `presence`. Another map after each change. */
  readonly members: ReadonlyMap<string, Member>;
  /** Memberships; undefined where presence is off or not allowed. */
  readonly count: number | undefined;
  /** Different users; undefined where presence is off or not allowed. */
  readonly users: number | undefined;
  /** How many messages follow the last one that the user has read, on any device. */
  readonly unread: number;
  /** The seq up to which the user has read. */
  readonly read: number;
  /** Resolves when the node has taken the membership. */
  join(options?: { signal?: AbortSignal }): Promise<void>;
  /** Resolves when nothing of the room comes any more. */
  leave(): Promise<void>;
  /** Calls `f` at each event of that name. Returns a function that ends it. */
  on: On<RoomEvents>;
  /** Resolves when the message is kept, with its place. Sent again until the node answers surely. */
  publish(data: unknown, options?: PublishOptions): Promise<Published>;
  /** To those who are there now; dropped offline. */
  signal(event: string, data?: unknown): void;
  /** The user is writing: to be called at each key. Dropped offline. */
  typing(active?: boolean): void;
  /** The user has received everything up to here, or read it, on all devices. */
  received(at: Message | Position, read?: boolean): Promise<ReadMarks>;
  /** A page of the room's messages; moves no position. */
  history(options?: { before?: number; after?: number; limit?: number }): Promise<HistoryPage>;
  /** A page of the room's members, with the connections. */
  list(options?: { page?: string }): Promise<MemberPage>;
  /** Changes what other members see of this one, also after a reconnect. */
  presence(change: { info?: unknown; status?: PresenceStatus }): Promise<Shown>;
}
