// What applications call: the two handles as interfaces. The classes are held to them.
import type { Position } from "./frames.js";
import type {
  ClientEvents,
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
  StateEntry,
} from "./types.js";
import type { PresenceFrame, PresenceStatus } from "./frames.js";

/** A node's client: one connection, whatever becomes of it, and the rooms on it. */
export interface ClientApi {
  readonly state: ClientState;
  /** Publishes that are not acknowledged yet. */
  readonly queued: number;
  connect(): Promise<void>;
  close(): Promise<void>;
  /** The same handle each time. Options that differ throw `room_options`. */
  room(name: string, options?: RoomOptions): RoomApi;
  /** Returns a function that ends it. */
  on<K extends keyof ClientEvents>(name: K, f: (event: ClientEvents[K]) => void): () => void;
}

export interface RoomApi extends AsyncIterable<Message> {
  readonly name: string;
  readonly status: RoomStatus;
  readonly position: Position | undefined;
  readonly state: ReadonlyMap<string, StateEntry>;
  readonly members: ReadonlyMap<string, Member>;
  /** Memberships; undefined where presence is off or not allowed. */
  readonly count: number | undefined;
  /** Different users; undefined where presence is off or not allowed. */
  readonly users: number | undefined;
  readonly unread: number;
  readonly read: number;
  join(options?: { signal?: AbortSignal }): Promise<void>;
  leave(): Promise<void>;
  on<K extends keyof RoomEvents>(name: K, f: (event: RoomEvents[K]) => void): () => void;
  publish(data: unknown, options?: PublishOptions): Promise<Published>;
  signal(event: string, data?: unknown): void;
  typing(active?: boolean): void;
  received(at: Message | Position, read?: boolean): Promise<ReadMarks>;
  history(options?: { before?: number; after?: number; limit?: number }): Promise<HistoryPage>;
  list(options?: { page?: string }): Promise<MemberPage>;
  presence(change: { info?: unknown; status?: PresenceStatus }): Promise<Omit<PresenceFrame, "type" | "id">>;
}
