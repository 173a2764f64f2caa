// What was asked and published and is not answered yet. Each is settled once, and sent again on the
// next link, or after a refusal that passes. Publishes are bounded and keep their order within each
// room; what belongs to one link ends with it. Knows neither sockets' lives nor rooms' memberships.
import { cancel, later, type Timer } from "./clock.js";
import { failure, type RoomcastError } from "./errors.js";
import type { ClientFrame, ErrorFrame, ServerFrame } from "./frames.js";
import type { Link } from "./link.js";
import type { ClientOptions, Encoding } from "./types.js";

const enum Bound {
  // So many are sent before their answers: a long queue must not drown a node that just came back.
  Portion = 32,
  UnknownAfterMs = 1e5,
  RetryMs = 1e3,
}
const PASSING = ["overloaded", "bus_unavailable", "rate_limited", "publish_unknown"];
// These the node decides after it has looked for the key: they are sure, whatever went before.
const SURE = /^(key|seq)_conflict$/;

export interface Item {
  _data: string | Uint8Array<ArrayBuffer>;
  /** Settle what the asker waits for. */
  _done?(frame: ServerFrame): void;
  _failed?(error: RoomcastError): void;
  /** Of a publish: the room whose order it keeps, its size, and the application's wish to give up. */
  _room?: string;
  _bytes?: number;
  _signal?: AbortSignal | undefined;
  /** Of a question that needs a membership. */
  _member?: { _isOn(link: Link): boolean } | undefined;
  /** Where it was sent. */
  _link?: Link | undefined;
  /** It is for that link only. */
  _isBound?: boolean;
  /** It was sent once without a sure answer: it may be stored. */
  _isUnsure?: boolean;
  /** It was refused for now: what came later in its room waits until it is answered. */
  _isRefused?: boolean;
  _pause?: Timer | undefined;
  _unknown?: Timer | undefined;
  _timeout?: Timer;
  _abort?(): void;
}

export type Outbox = ReturnType<typeof makeOutbox>;

/** `onChange`: something may be sent, or the number of publishes is different. */
export function makeOutbox(
  { queue = {}, timeout }: ClientOptions,
  encode: Encoding["encode"],
  nextId: () => number,
  onChange: () => void,
) {
  // In the order of the calls.
  const items = new Map<number, Item>();
  let queued = 0;
  let queuedBytes = 0;

  const settle = (id: number, item: Item) => {
    [item._pause, item._unknown, item._timeout].forEach(cancel);
    if (item._abort) item._signal?.removeEventListener("abort", item._abort);
    if (items.delete(id) && item._room) {
      queued--;
      queuedBytes -= item._bytes!;
    }
    onChange();
  };
  const fail = (id: number, item: Item, code: string, message?: string) => {
    settle(id, item);
    item._failed!(failure(code, message));
  };
  const transmit = (item: Item, link: Link) => {
    item._link = link;
    link._write(item._data);
  };

  const add = (id: number, item: Item) =>
    new Promise<ServerFrame>((done, failed) => {
      item._done = done;
      item._failed = failed;
      items.set(id, item);
      onChange();
    });

  return {
    _count: () => queued,
    _owes: (link: Link) => [...items.values()].some(({ _link }) => _link == link),

    /** With `_link` the question is for that link only. */
    _ask(frame: ClientFrame, { _member, _link }: Partial<Item>) {
      const id = (frame.id = nextId());
      const item: Item = { _data: encode(frame), _member, _link, _isBound: !!_link };
      const answer = add(id, item);
      if (_link) transmit(item, _link);
      return answer;
    },

    async _publish(frame: ClientFrame, _room: string, _signal?: AbortSignal) {
      const { messages = 1e3, bytes: most = 2 ** 20 } = queue;
      const id = (frame.id = nextId());
      const _data = encode(frame);
      const _bytes = new Blob([_data]).size;
      if (_signal?.aborted) throw failure("aborted");
      if (queued >= messages || queuedBytes + _bytes > most) throw failure("queue_full");
      const item: Item = { _data, _bytes, _room, _signal };
      queued++;
      queuedBytes += _bytes;
      if (timeout) item._timeout = later(() => fail(id, item, "timeout"), timeout);
      _signal?.addEventListener("abort", (item._abort = () => fail(id, item, "aborted")));
      return add(id, item);
    },

    /** Sends what may be sent on this link. */
    _send(link: Link) {
      let portion: number = Bound.Portion;
      const held = new Set<string | undefined>();
      for (const item of items.values()) if (item._link && item._room) portion--;
      for (const [id, item] of items) {
        const { _room, _member, _bytes } = item;
        if (!item._link && !item._pause && !held.has(_room) && (!_member || _member._isOn(link))) {
          if (_room && portion-- <= 0) held.add(_room);
          else if (_bytes! > link._connected!.limits.message_bytes) fail(id, item, "too_large");
          else {
            if (_room) item._unknown = item._unknown || later(() => fail(id, item, "publish_unknown"), Bound.UnknownAfterMs);
            transmit(item, link);
          }
        }
        if (_room && item._isRefused) held.add(_room);
      }
    },

    /** Takes a frame that may be an answer. */
    _answered(frame: ServerFrame) {
      const { id = 0 } = frame as { id?: number };
      const item = items.get(id);
      if (!item) return;
      settle(id, item);
      item._done!(frame);
    },

    /** Takes an `error`; whether it is about something here. */
    _refused({ id = 0, code, message, retry_after_ms }: ErrorFrame): boolean {
      const item = items.get(id);
      if (!item) return false;
      const isPassing = item._room ? PASSING.includes(code) : retry_after_ms !== undefined || code == PASSING[1];
      if (item._isBound || !isPassing) fail(id, item, item._isUnsure && item._room && !SURE.test(code) ? "publish_unknown" : code, message);
      else {
        item._link = undefined;
        item._isRefused = true;
        item._isUnsure = item._isUnsure || code == "publish_unknown";
        if (!item._isUnsure) item._unknown = cancel(item._unknown);
        item._pause = later(() => {
          item._pause = undefined;
          onChange();
        }, retry_after_ms ?? Bound.RetryMs);
        onChange();
      }
      return true;
    },

    /** The link is gone: what was sent on it is sent again, publishes under their old key. */
    _lost(link: Link) {
      for (const [id, item] of items) {
        if (item._link != link) continue;
        item._link = undefined;
        item._isUnsure = true;
        if (item._isBound) fail(id, item, "closed");
      }
    },

    /** What needs this membership has no answer; without one, nothing has. */
    _end({ code, message }: RoomcastError, member?: object) {
      for (const [id, item] of items) if (!member || item._member == member) fail(id, item, code, message);
    },
  };
}
