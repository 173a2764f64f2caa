// The handle of a room: what an application calls. What comes of it is the membership's.
import { randomName } from "./backoff.js";
import { compact } from "./compact.js";
import { failure, type RoomcastError } from "./errors.js";
import { iterate } from "./iterate.js";
import type { Core } from "./core.js";
import { makeMembership, type Membership } from "./membership.js";
import type { Room } from "./api.js";
import type { AckFrame, Position } from "./frames.js";

type Calls = Pick<Room, "join" | "publish" | "signal" | "typing" | "received" | "history" | "list" | "presence" | typeof Symbol.asyncIterator>;

export function makeRoom(core: Core, name: string): Room & Membership {
  const membership = makeMembership(core, name);
  const { _ask, _people, _iterators } = membership;
  const calls: Calls = {
    join({ signal } = {}) {
      return new Promise<void>((resolve, reject) => {
        const error = signal?.aborted ? failure("aborted") : core._start();
        if (error) return reject(error);
        const settle = (error?: RoomcastError) => (error ? reject(error) : resolve());
        const abort = () => {
          settle(failure("aborted"));
          membership._giveUp(settle);
        };
        signal?.addEventListener("abort", abort);
        membership._join(settle);
      });
    },

    publish(data, { event, key, ifSeq, ifKeySeq, stateKey, ttlMs, remove, receipts, echo, signal } = {}) {
      return new Promise((resolve, reject) => {
        const error = core._start();
        if (error) return reject(error);
        const condition = ifSeq ?? ifKeySeq;
        const { epoch = membership.position?.epoch } = Object(condition) as Partial<Position>;
        if (condition !== undefined && !epoch) return reject(failure("no_position"));
        const id = core._nextId();
        const frame = compact({
          type: "publish",
          id,
          room: name,
          event,
          key: key ?? randomName(),
          if_seq: seqOf(ifSeq),
          if_key_seq: seqOf(ifKeySeq),
          epoch: condition === undefined ? undefined : epoch,
          state_key: stateKey,
          ttl_ms: ttlMs,
          remove,
          receipts,
          echo,
          data: data ?? null,
        });
        try {
          const _data = core._encode(frame);
          core._outbox._publish(id, {
            _room: name,
            _signal: signal,
            _data,
            _bytes: new Blob([_data]).size,
            _failed: reject,
            _done(frame) {
              const { epoch, seq, time } = frame as AckFrame;
              if (echo === false) membership._skip({ epoch, seq });
              resolve({ epoch, seq, time });
            },
          });
        } catch (error) {
          reject(failure("bad_data", String(error)));
        }
      });
    },

    signal(event, data) {
      membership._link()?._send({ type: "signal", room: name, event, data });
    },

    typing(active = true) {
      membership._link()?._send({ type: "typing", room: name, active });
    },

    async received({ epoch, seq }, read) {
      await _ask("received", compact({ epoch, seq, read }), true);
      return _people._marks();
    },

    history: (options) => _ask("history", options),

    list: (options) => _ask("members", options),

    async presence(change) {
      const shown = await _ask("presence", change, true);
      membership._show(change);
      return shown;
    },

    [Symbol.asyncIterator]() {
      const iterator = iterate((ended) => _iterators.delete(ended));
      const error = core._error();
      _iterators.add(iterator);
      if (error) membership._end(error);
      return iterator;
    },
  };
  // The getters stay where they are: a copy would be their value of now.
  return Object.assign(membership, calls);
}

function seqOf(condition: Position | number | undefined): number | undefined {
  return (Object(condition) as Partial<Position>).seq ?? (condition as number | undefined);
}
