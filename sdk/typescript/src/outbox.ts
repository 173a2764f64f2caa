// Publishes under way: bounded, in order within each room, sent again under their key until the node
// gives a sure answer, each settled once. Knows neither sockets' lives nor rooms' memberships.
import { env, type Timer } from "./environment.js";
import { RoomcastError } from "./errors.js";
import type { AckFrame, ErrorFrame } from "./frames.js";
import type { Link } from "./link.js";
import type { ClientOptions, Published } from "./types.js";

// So many are sent before their answers: a long queue must not drown a node that just came back.
const PORTION = 32;
const UNKNOWN_AFTER_MS = 1e5;
const DEFAULT_RETRY_MS = 1e3;
const PASSING = ["overloaded", "bus_unavailable", "rate_limited", "publish_unknown"];
// These the node decides after it has looked for the key: they are sure, whatever went before.
const SURE = ["key_conflict", "seq_conflict"];

export interface Outgoing {
  _room: string;
  _data: string | Uint8Array<ArrayBuffer>;
  _bytes: number;
  _done(published: Published): void;
  _failed(error: RoomcastError): void;
  /** Of the application: it may give up. */
  _signal: AbortSignal | undefined;
}

interface Item extends Outgoing {
  _link?: Link | undefined;
  /** It was sent once without a sure answer: it may be stored. */
  _unsure?: boolean;
  /** It was refused for now: what came later in its room waits until it is answered. */
  _refused?: boolean;
  _pause?: Timer | undefined;
  _unknown?: Timer | undefined;
  _timeout?: Timer;
  _abort?(): void;
}

export type Outbox = ReturnType<typeof makeOutbox>;

/** `onChange`: something may be sent, or the number of publishes is different. */
export function makeOutbox({ queue, timeout }: ClientOptions, onChange: () => void) {
  // In the order of the calls.
  const items = new Map<number, Item>();
  let bytes = 0;

  const settle = (id: number, item: Item) => {
    [item._pause, item._unknown, item._timeout].forEach(env._cancel);
    if (item._abort) item._signal?.removeEventListener("abort", item._abort);
    if (items.delete(id)) bytes -= item._bytes;
    onChange();
  };
  const fail = (id: number, item: Item, code: string, message?: string) => {
    settle(id, item);
    item._failed(new RoomcastError(code, message));
  };

  return {
    _size: () => items.size,

    _add(id: number, item: Item) {
      const { messages = 1e3, bytes: most = 2 ** 20 } = queue ?? {};
      const { _signal } = item;
      if (_signal?.aborted) return item._failed(new RoomcastError("aborted"));
      if (items.size >= messages || bytes + item._bytes > most) return item._failed(new RoomcastError("queue_full"));
      items.set(id, item);
      bytes += item._bytes;
      if (timeout) item._timeout = env._later(() => fail(id, item, "timeout"), timeout);
      _signal?.addEventListener("abort", (item._abort = () => fail(id, item, "aborted")));
      onChange();
    },

    /** Sends what may be sent on this link. */
    _send(link: Link) {
      let portion = PORTION;
      const held = new Set<string>();
      for (const item of items.values()) if (item._link) portion--;
      for (const [id, item] of items) {
        if (!item._link && !item._pause && !held.has(item._room)) {
          if (portion-- <= 0) return;
          if (item._bytes > link._connected!.limits.message_bytes) {
            fail(id, item, "too_large");
            continue;
          }
          item._link = link;
          item._unknown ??= env._later(() => fail(id, item, "publish_unknown"), UNKNOWN_AFTER_MS);
          link._owed.add(id);
          link._write(item._data);
        }
        if (item._refused) held.add(item._room);
      }
    },

    _acked({ id, epoch, seq, time }: AckFrame) {
      const item = items.get(id);
      if (!item) return;
      settle(id, item);
      item._done({ epoch, seq, time });
    },

    /** Takes an `error`; whether it is about a publish. */
    _refused({ id = 0, code, message, retry_after_ms = DEFAULT_RETRY_MS }: ErrorFrame): boolean {
      const item = items.get(id);
      if (!item) return false;
      if (!PASSING.includes(code)) {
        fail(id, item, item._unsure && !SURE.includes(code) ? "publish_unknown" : code, message);
        return true;
      }
      item._link = undefined;
      item._refused = true;
      if (code == "publish_unknown") item._unsure = true;
      if (!item._unsure) {
        env._cancel(item._unknown);
        item._unknown = undefined;
      }
      item._pause = env._later(() => {
        item._pause = undefined;
        onChange();
      }, retry_after_ms);
      onChange();
      return true;
    },

    /** The link is gone: what was sent on it is sent again, under the same key. */
    _lost(link: Link) {
      for (const item of items.values()) {
        if (item._link == link) {
          item._link = undefined;
          item._unsure = true;
        }
      }
    },

    _end({ code, message }: RoomcastError) {
      for (const [id, item] of items) fail(id, item, code, message);
    },
  };
}
