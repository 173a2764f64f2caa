// Publishes under way: bounded, in order within each room, sent again under their key until the node
// gives a sure answer, each settled once. Knows neither sockets' lives nor rooms' memberships.
import { RoomcastError } from "./errors.js";
import type { AckFrame, ErrorFrame } from "./frames.js";
import type { Link } from "./link.js";
import type { ClientOptions, Environment, Published } from "./types.js";

// So many are sent before their answers: a long queue must not drown a node that just came back.
const PORTION = 32;
const UNKNOWN_AFTER_MS = 1e5;
const DEFAULT_RETRY_MS = 1e3;
const PASSING = ["overloaded", "bus_unavailable", "rate_limited", "publish_unknown"];
// These the node decides after it has looked for the key: they are sure, whatever went before.
const SURE = ["key_conflict", "seq_conflict"];

export interface Outgoing {
  _id: number;
  _room: string;
  _data: string | Uint8Array<ArrayBuffer>;
  _bytes: number;
  _signal: AbortSignal | undefined;
  _done(published: Published): void;
  _failed(error: RoomcastError): void;
}

interface Item extends Outgoing {
  _link?: Link | undefined;
  /** It was sent once without a sure answer: it may be stored. */
  _unsure?: boolean;
  /** It was refused for now: what came later in its room waits until it is answered. */
  _refused?: boolean;
  _pause?: unknown;
  _unknown?: unknown;
  _timeout?: unknown;
  _unlisten?: () => void;
}

export class Outbox {
  // In the order of the calls.
  /** @internal */
  _items = new Map<number, Item>();
  /** @internal */
  _bytes = 0;

  constructor(
    /** @internal */ readonly _options: ClientOptions,
    /** @internal */ readonly _environment: Environment,
    /** Something may be sent, or `_size` is different. @internal */
    readonly _onChange: () => void,
  ) {}

  get _size(): number {
    return this._items.size;
  }

  _add(item: Item): void {
    const { messages = 1e3, bytes = 2 ** 20 } = this._options.queue ?? {};
    const { _id, _signal } = item;
    if (_signal?.aborted) return item._failed(new RoomcastError("aborted"));
    if (this._size >= messages || this._bytes + item._bytes > bytes) {
      return item._failed(new RoomcastError("queue_full", "too many publishes wait"));
    }
    this._items.set(_id, item);
    this._bytes += item._bytes;
    const { timeout } = this._options;
    if (timeout) item._timeout = this._failLater(item, timeout, "timeout");
    if (_signal) {
      const abort = () => this._fail(item, "aborted");
      _signal.addEventListener("abort", abort);
      item._unlisten = () => _signal.removeEventListener("abort", abort);
    }
    this._onChange();
  }

  /** Sends what may be sent on this link. */
  _send(link: Link): void {
    let portion = PORTION;
    for (const { _link } of this._items.values()) if (_link) portion--;
    const held = new Set<string>();
    for (const item of this._items.values()) {
      const { _room, _id } = item;
      if (!item._link && !item._pause && !held.has(_room)) {
        if (portion-- <= 0) return;
        if (item._bytes > (link._connected?.limits.message_bytes ?? Infinity)) {
          this._fail(item, "too_large", `${item._bytes} bytes are above the node's limit`);
          continue;
        }
        item._link = link;
        item._unknown ??= this._failLater(item, UNKNOWN_AFTER_MS, "publish_unknown");
        link._owed.add(_id);
        link._write(item._data);
      }
      if (item._refused) held.add(_room);
    }
  }

  /** Takes an `ack`; the publish that it answers. */
  _acked({ id, epoch, seq, time }: AckFrame): void {
    const item = this._items.get(id);
    if (!item) return;
    this._settle(item);
    item._done({ epoch, seq, time });
  }

  /** Takes an `error` with an id; whether it is about a publish. */
  _errored({ id = 0, code, message, retry_after_ms }: ErrorFrame): boolean {
    const item = this._items.get(id);
    if (!item) return false;
    const { setTimeout, clearTimeout } = this._environment;
    if (!PASSING.includes(code)) {
      this._fail(item, item._unsure && !SURE.includes(code) ? "publish_unknown" : code, message);
      return true;
    }
    item._link = undefined;
    item._refused = true;
    item._unsure ||= code == "publish_unknown";
    if (!item._unsure) {
      clearTimeout(item._unknown);
      item._unknown = undefined;
    }
    item._pause = setTimeout(() => {
      item._pause = undefined;
      this._onChange();
    }, retry_after_ms ?? DEFAULT_RETRY_MS);
    this._onChange();
    return true;
  }

  /** The link is gone: what was sent on it is sent again, under the same key. */
  _lost(link: Link): void {
    for (const item of this._items.values()) {
      if (item._link == link) {
        item._link = undefined;
        item._unsure = true;
      }
    }
  }

  _end(error: RoomcastError): void {
    for (const item of [...this._items.values()]) this._fail(item, error.code, error.message);
  }

  /** @internal */
  _failLater(item: Item, ms: number, code: string): unknown {
    return this._environment.setTimeout(() => this._fail(item, code), ms);
  }

  /** @internal */
  _fail(item: Item, code: string, message?: string): void {
    this._settle(item);
    item._failed(new RoomcastError(code, message));
  }

  /** @internal */
  _settle(item: Item): void {
    const { clearTimeout } = this._environment;
    for (const timer of [item._pause, item._unknown, item._timeout]) clearTimeout(timer);
    item._unlisten?.();
    if (this._items.delete(item._id)) this._bytes -= item._bytes;
    this._onChange();
  }
}
