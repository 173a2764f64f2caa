// The handle of a room: what applications call and look at, made of the room's parts. Must not know
// links, nor what frames mean: `membership.ts` joins, `reading.ts` keeps what was read, `people.ts`
// keeps who is there.
import { randomName } from "./backoff.js";
import type { Core, RoomInside } from "./core.js";
import { makeEmitter } from "./emitter.js";
import { failure } from "./errors.js";
import type { AckFrame } from "./frames.js";
import { publishFrame } from "./publish.js";
import type { Room } from "./api.js";
import { makeMemberList } from "./members.js";
import { makeMembership, type Membership } from "./membership.js";
import { makePeople } from "./people.js";
import { canonical } from "./room-options.js";
import type { RoomEvents, RoomOptions } from "./types.js";

export function makeRoom(core: Core, name: string): Room & RoomInside {
  const emitter = makeEmitter<RoomEvents>();
  const options: RoomOptions = {};
  let hasOptions = false;

  const list = makeMemberList();
  const people = makePeople(emitter, list, async (page) =>
    options.presence ? membership._ask("members", { page }) : undefined,
  );
  const membership: Membership = makeMembership(core, name, options, emitter, people);
  const { _reading: reading } = membership;

  return {
    // `join`, `leave` and `presence`, and what the client has of a room.
    ...membership,
    name,
    on: emitter._on,
    get status() {
      return membership._status();
    },
    get position() {
      return reading._cursor()._position();
    },
    get state() {
      return reading._state();
    },
    get members() {
      return list._map._read();
    },
    get count() {
      return list._count;
    },
    get users() {
      return list._users;
    },
    get unread() {
      return people._marks().unread;
    },
    get read() {
      return people._marks().read;
    },
    [Symbol.asyncIterator]: reading._loop,

    async publish(data, options = {}) {
      core._start();
      const { echo, signal, key = randomName() } = options;
      const frame = publishFrame(name, reading._cursor()._position(), data, key, options);
      const { epoch, seq, time } = (await core._outbox._publish(frame, name, signal)) as AckFrame;
      if (echo === false) reading._own(epoch + seq);
      return { epoch, seq, time };
    },
    signal: (event, data) => membership._say("signal", { event, data }),
    typing: (active = true) => membership._say("typing", { active }),
    async received({ epoch, seq }, read) {
      await membership._ask("received", { epoch, seq, read }, true);
      return people._marks();
    },
    history: (options) => membership._ask("history", options),
    list: (options) => membership._ask("members", options),

    /** Takes the application's options: the first that it gives, and later ones that are the same. */
    _adopt(given: RoomOptions) {
      if (!hasOptions) Object.assign(options, given);
      else if (canonical(options) != canonical(given)) throw failure("room_options");
      hasOptions = true;
    },
  };
}
