// Random lives of a client: lost links, restarts, moves, refusals, holes and resets in any order. What
// holds at the end of each: every call is settled, messages came once and in order, maps are the node's.
import { expect, test } from "vitest";
import type { Message, Room } from "../src/index.js";
import type { FakeServer } from "../src/testing.js";
import { clientOf, pass, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

/** Numbers from 0 to below `end`, the same for a seed. */
function chance(seed: number) {
  let state = seed;
  return (end: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
}

function acts(server: FakeServer, room: Room, random: (end: number) => number, publish: (data: string) => void): (() => unknown)[] {
  const node = server.room("a");
  let count = 0;
  const key = () => ({ state_key: `k${random(5)}` });
  return [
    () => publish(`own ${count++}`),
    () => publish(`own ${count++}`),
    () => node.publish(`other ${count++}`, key()),
    () => node.publish(null, { ...key(), remove: true }),
    () => server.disconnect([1006, 1012, 4000, 4100][random(4)]),
    () => server.reconnect(random(500)),
    () => server.sockets[0] && (server.sockets[0].isSilent = true),
    () => (server.refusal = "away"),
    () => (server.refusal = undefined),
    () => void room.presence({ status: "away" }).catch(() => {}),
    () => void room.received(room.position ?? { epoch: "", seq: 0 }).catch(() => {}),
    // Holes: the last ones, so that a life can go without.
    () => node.gap(random(3) + 1),
    () => node.reset(random(3)),
  ];
}

/** An author's messages that came within one epoch. */
const ofEpoch = (messages: Message[], epoch: string) => messages.filter((message) => message.epoch == epoch);

test.each([true, false])("a hundred random lives, with holes: %s", { timeout: 60_000 }, async (hasHoles) => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = chance(seed);
    const server = serve({ presence: true, receipts: true, state: true });
    const client = clientOf(server, { user: "me", backoff: { initial: 200, cap: 1000 } });
    const room = client.room("a", { presence: true });
    const got: Message[] = [];
    room.on("message", (message) => got.push(message));
    const calls: { data: string; outcome: { readonly now: unknown } }[] = [];
    const all = acts(server, room, random, (data) => calls.push({ data, outcome: watchOutcome(room.publish(data, { stateKey: "own" })) }));
    const join = watchOutcome(room.join());
    for (let step = 0; step < 40; step++) {
      all[random(all.length - (hasHoles ? 0 : 2))]!();
      await pass(random(4) ? random(300) : random(20_000));
    }
    server.refusal = undefined;
    // Longer than a silent heartbeat, its answer and a pause.
    await pass(40_000);
    const life = `life ${seed}`;
    expect([join.now, client.state, room.status, client.queued, server.sockets.length], life).toEqual(["done", "connected", "joined", 0, 1]);
    expect(calls.filter(({ outcome }) => typeof outcome.now != "object" && outcome.now != "publish_unknown"), life).toEqual([]);
    for (const epoch of new Set(got.map((message) => message.epoch))) {
      const seqs = ofEpoch(got, epoch).map(({ seq }) => seq);
      expect(seqs, life).toEqual([...new Set(seqs)].sort((one, other) => one - other));
    }
    // Publishes are numbered in the order of the calls, and stored once.
    const stored = server.room("a").log.map(({ data }) => data).filter((data) => String(data).startsWith("own"));
    const called = calls.map(({ data }) => data);
    expect(stored, life).toEqual(called.filter((data) => stored.includes(data)));
    expect(room.position, life).toEqual({ epoch: server.room("a").epoch, seq: server.room("a").seq });
    expect([...room.members.keys()], life).toEqual(["me"]);
    if (!hasHoles) {
      const values = [...server.room("a").values].map(([key, { seq }]) => [key, seq]);
      expect(Object.fromEntries([...room.state].map(([key, { seq }]) => [key, seq])), life).toEqual(Object.fromEntries(values));
      // What was before the first snapshot is in its values.
      const last = server.room("a").seq;
      expect(got.map(({ seq }) => seq), life).toEqual(got.map((_, index) => last - got.length + 1 + index));
    }
    await client.close();
  }
});
