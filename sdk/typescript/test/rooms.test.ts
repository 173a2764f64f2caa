// Rooms: joining, resuming by position, holes, state, `for await`, and `load`.
import { describe, expect, test, vi } from "vitest";
import type { Client, Message, Position, Room, RoomOptions } from "../src/index.js";
import type { FakeServer } from "../src/testing.js";
import { clientOf, outcome, pass, record, sent, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

async function joined(server: FakeServer, name: string, options?: RoomOptions): Promise<{ client: Client; room: Room; seqs: number[] }> {
  const client = clientOf(server, { user: "me" });
  const room = client.room(name, options);
  const seqs: number[] = [];
  room.on("message", ({ seq }) => seqs.push(seq));
  expect(await Promise.all([outcome(room.join()), pass()])).toContain("done");
  return { client, room, seqs };
}

describe("handles", () => {
  test("a room has the same handle each time, options that differ throw room_options", () => {
    const client = clientOf(serve());
    const room = client.room("a", { history: 5, info: { b: 1, a: 2 }, load: async () => ({ epoch: "", seq: 0 }) });
    expect(client.room("a")).toBe(room);
    expect(client.room("a", { load: async () => ({ epoch: "x", seq: 1 }), info: { a: 2, b: 1 }, history: 5 })).toBe(room);
    expect(() => client.room("a", { history: 6 })).toThrow(expect.objectContaining({ code: "room_options" }));
  });

  test("join resolves when the node said joined, leave ends what comes", async () => {
    const server = serve();
    const { room, seqs } = await joined(server, "a");
    expect(room.status).toBe("joined");
    server.room("a").publish(1);
    await pass();
    await Promise.all([room.leave(), pass()]);
    server.room("a").publish(2);
    await pass();
    expect([seqs, room.status]).toEqual([[1], "left"]);
  });

  test("a join that the application gives up rejects with aborted", async () => {
    const server = serve();
    server.refusal = "away";
    const room = clientOf(server).room("a");
    const abort = new AbortController();
    const join = watchOutcome(room.join({ signal: abort.signal }));
    await pass(10);
    abort.abort();
    await pass();
    expect([join.now, room.status]).toEqual(["aborted", "left"]);
    server.refusal = undefined;
    await pass(60_000);
    expect(sent(server, "join")).toEqual([]);
  });

  test("a join that the node cancels since the room was left is no error of the room", async () => {
    const server = serve();
    server.intercept = (socket, { type, id }) => {
      if (type == "join") socket.give({ type: "error", id, room: "a", code: "cancelled", message: "left" });
      return type == "join";
    };
    const client = clientOf(server);
    const room = client.room("a");
    const errors = record(room, "error");
    await outcome(Promise.all([client.connect(), pass()]));
    const join = watchOutcome(room.join());
    void room.leave();
    await pass();
    expect([join.now, errors]).toEqual(["aborted", []]);
  });

  test("a refused join rejects with the node's code", async () => {
    const server = serve();
    server.intercept = (socket, { type, id }) => {
      if (type == "join") socket.give({ type: "error", id, room: "a", code: "forbidden", message: "join" });
      return type == "join";
    };
    const room = clientOf(server).room("a");
    expect(await Promise.all([outcome(room.join()), pass()])).toContain("forbidden");
    expect(room.status).toBe("left");
  });

  test("info that cannot be written rejects with bad_data, in join and presence", async () => {
    const client = clientOf(serve({ presence: true }));
    const room = client.room("a", { info: 1n });
    expect(await Promise.all([outcome(room.join()), pass()])).toContain("bad_data");
    const other = client.room("b");
    await Promise.all([other.join(), pass()]);
    expect(await outcome(other.presence({ info: 1n }))).toBe("bad_data");
    expect(() => other.signal("cursor", 1n)).toThrow(expect.objectContaining({ code: "bad_data" }));
  });

  test.each([
    ["bus_unavailable", undefined],
    ["rate_limited", 3000],
  ])("a join refused with %s (%s ms) is tried again and stays pending", async (code, retry_after_ms) => {
    const server = serve();
    let refusals = 2;
    server.intercept = (socket, { type, id }) => {
      if (type != "join" || refusals-- <= 0) return false;
      socket.give({ type: "error", id, room: "a", code, message: code, ...(retry_after_ms && { retry_after_ms }) });
      return true;
    };
    const join = watchOutcome(clientOf(server).room("a").join());
    await pass(retry_after_ms ?? 0);
    expect(join.now).toBeUndefined();
    await pass(10_000);
    expect(join.now).toBe("done");
  });

  test("a rejoin that is refused for good is told as left", async () => {
    const server = serve();
    const { room } = await joined(server, "a");
    const left = record(room, "left");
    server.intercept = (socket, { type, id }) => {
      if (type == "join") socket.give({ type: "error", id, room: "a", code: "forbidden", message: "join" });
      return type == "join";
    };
    server.disconnect();
    await pass(2000);
    expect([left, room.status]).toEqual([[{ code: "forbidden" }], "left"]);
  });

  test("left by the node is told with its reason", async () => {
    const server = serve();
    const { room } = await joined(server, "a");
    const left = record(room, "left");
    server.socket.give({ type: "left", room: "a", reason: "forbidden" });
    await pass(5000);
    expect([left, room.status, sent(server, "join").length]).toEqual([[{ reason: "forbidden" }], "left", 1]);
  });

  test("a room's token is asked for before each join, and again when it has ended", async () => {
    const server = serve();
    let asked = 0;
    const { room } = await joined(server, "a", { token: async () => `t${++asked}` });
    server.room("a").leave(server.socket);
    server.socket.give({ type: "left", room: "a", reason: "expired" });
    await pass(1000);
    expect(sent(server, "join").map(({ token }) => token)).toEqual(["t1", "t2"]);
    expect(room.status).toBe("joined");
  });

  test("a room's token that ends during a move is asked for once, and the room goes on", async () => {
    const server = serve();
    const token = vi.fn(async () => `r${token.mock.calls.length}`);
    const room = clientOf(server).room("a", { token });
    const seqs: number[] = [];
    room.on("message", ({ seq }) => seqs.push(seq));
    await outcome(Promise.all([room.join(), pass()]));
    const old = server.socket;
    const late: (() => void)[] = [];
    server.intercept = (socket, frame) => late.push(() => server.received(socket, frame)) > 0;
    old.give({ type: "reconnect", after_ms: 0, reason: "drain" });
    await pass(100);
    old.give({ type: "left", room: "a", reason: "expired" });
    await pass();
    server.intercept = undefined;
    late.forEach((answer) => answer());
    await pass(6000);
    server.room("a").publish(1);
    await pass();
    expect([room.status, seqs, token.mock.calls.length]).toEqual(["joined", [1], 2]);
  });

  test("a room's token that is a text ends the membership with it", async () => {
    const server = serve();
    const { room } = await joined(server, "a", { token: "t1" });
    const left = record(room, "left");
    server.socket.give({ type: "left", room: "a", reason: "expired" });
    await pass(5000);
    expect([left, room.status, sent(server, "join").map(({ token }) => token)]).toEqual([[{ reason: "expired" }], "left", ["t1"]]);
  });

  test("a room's token function that rejects is asked again, and one that gives nothing is no_token", async () => {
    const server = serve();
    let fails = 2;
    const late = async () => {
      if (fails-- > 0) throw new Error("the backend is away");
      return "t1";
    };
    const client = clientOf(server);
    const [joining, none] = [watchOutcome(client.room("a", { token: late }).join()), watchOutcome(client.room("b", { token: () => "" }).join())];
    await pass(5000);
    expect([joining.now, none.now, sent(server, "join").map(({ room, token }) => [room, token])]).toEqual(["done", "no_token", [["a", "t1"]]]);
  });

  test("since may be a time, and counts at the first join only", async () => {
    const server = serve();
    server.room("a").publish("before");
    await pass(10);
    const time = Date.now();
    server.room("a").publish("after");
    const { seqs } = await joined(server, "a", { since: { time } });
    await pass();
    server.disconnect();
    await pass(2000);
    expect(seqs).toEqual([2]);
    expect(sent(server, "join").map(({ since }) => since)).toEqual([{ time }, { epoch: server.room("a").epoch, seq: 2 }]);
  });

  test("errors without a promise are told by the room", async () => {
    const server = serve();
    const { room } = await joined(server, "a");
    const errors = record<{ code: string }>(room, "error");
    server.socket.give({ type: "error", room: "a", code: "rate_limited", message: "signals" });
    await pass();
    expect(errors.map(({ code }) => code)).toEqual(["rate_limited"]);
  });
});

describe("resuming", () => {
  test("what was missed comes once and in order after a reconnect, and resumed is told", async () => {
    const server = serve();
    const { client, room, seqs } = await joined(server, "a");
    const resumed = record(client, "resumed");
    server.room("a").publish(1);
    await pass();
    server.disconnect();
    await pass();
    expect(room.status).toBe("resuming");
    server.room("a").publish(2);
    server.room("a").publish(3);
    await pass(2000);
    expect([seqs, resumed.length, room.position?.seq]).toEqual([[1, 2, 3], 1, 3]);
    expect(sent(server, "join").at(-1)).toMatchObject({ since: { epoch: server.room("a").epoch, seq: 1 } });
  });

  test("a message that is not above the position is dropped", async () => {
    const server = serve();
    const { seqs } = await joined(server, "a");
    const message = server.room("a").publish(1);
    server.socket.give({ type: "message", room: "a", ...message });
    await pass();
    expect(seqs).toEqual([1]);
  });

  test("a jump in numbers makes no hole", async () => {
    const server = serve();
    const { room, seqs } = await joined(server, "a");
    const gaps = record(room, "gap");
    server.socket.give({ type: "message", room: "a", seq: 9, time: 1, data: 1 });
    await pass();
    expect([seqs, gaps, room.position?.seq]).toEqual([[9], [], 9]);
  });

  test("a gap is told by the room and the client, and resumed is not", async () => {
    const server = serve();
    const { client, room, seqs } = await joined(server, "a");
    const [gaps, all, resumed] = [record(room, "gap"), record(client, "gap"), record(client, "resumed")];
    server.disconnect();
    for (let index = 1; index <= 5; index++) server.room("a").publish(index);
    server.room("a").forget(3);
    await pass(2000);
    const gap = { room: "a", from: 1, to: 3 };
    expect([gaps, all, seqs, resumed]).toEqual([[gap], [gap], [4, 5], []]);
  });

  test("a reset is told, and the position follows", async () => {
    const server = serve();
    const { room, seqs } = await joined(server, "a");
    const resets = record(room, "reset");
    server.room("a").publish(1);
    server.room("a").publish(2);
    await pass();
    server.room("a").reset(1);
    server.room("a").publish(9);
    await pass();
    expect(resets).toEqual([{ room: "a", epoch: server.room("a").epoch, seq: 1, lost: 1 }]);
    expect([seqs, room.position]).toEqual([[1, 2, 2], { epoch: server.room("a").epoch, seq: 2 }]);
  });

  test("a link lost between joined and its gap hides nothing", async () => {
    const server = serve();
    const { room } = await joined(server, "a");
    const gaps = record(room, "gap");
    server.disconnect();
    for (let index = 1; index <= 5; index++) server.room("a").publish(index);
    server.room("a").forget(3);
    server.intercept = (socket, { type, id }) => {
      if (type != "join") return false;
      server.intercept = undefined;
      socket.give({ type: "joined", id, room: "a", epoch: server.room("a").epoch, seq: 0, recovered: false });
      socket.end(1006);
      return true;
    };
    await pass(4000);
    expect(gaps).toEqual([{ room: "a", from: 1, to: 3 }]);
  });

  test("strict rejects with unrecoverable in place of a hole", async () => {
    const server = serve();
    for (let index = 1; index <= 5; index++) server.room("a").publish(index);
    server.room("a").forget(3);
    const room = clientOf(server).room("a", { strict: true, since: { epoch: server.room("a").epoch, seq: 1 } });
    expect(await Promise.all([outcome(room.join()), pass()])).toContain("unrecoverable");
  });

  test("history begins with the latest messages, and only at the first join", async () => {
    const server = serve();
    for (let index = 1; index <= 5; index++) server.room("a").publish(index);
    const { seqs } = await joined(server, "a", { history: 2 });
    await pass();
    server.disconnect();
    await pass(2000);
    expect(seqs).toEqual([4, 5]);
  });
});

describe("state", () => {
  test("a snapshot fills the map, messages change it, each change is told", async () => {
    const server = serve({ state: true });
    server.room("s").publish(1, { state_key: "x" });
    server.room("s").publish(2, { state_key: "y" });
    server.room("s").publish(3);
    const client = clientOf(server);
    const room = client.room("s");
    const changes = record<{ key: string; entry?: { data: unknown } }>(room, "state");
    await Promise.all([room.join(), pass()]);
    await pass();
    expect([...room.state].map(([key, { data }]) => [key, data])).toEqual([["x", 1], ["y", 2], ["", 3]]);
    expect(room.position?.seq).toBe(3);
    const before = room.state;
    server.room("s").publish(null, { state_key: "x", remove: true });
    server.room("s").publish(9, { state_key: "y" });
    await pass();
    expect([...room.state.keys()]).toEqual(["y", ""]);
    expect(before.size).toBe(3);
    expect(changes.map(({ key, entry }) => [key, entry?.data])).toEqual([["x", 1], ["y", 2], ["", 3], ["x", undefined], ["y", 9]]);
  });

  /** Answers the first join by `joined` and one part of the snapshot, then acts. */
  function half(server: FakeServer, act: (socket: FakeServer["socket"]) => void) {
    server.room("s").publish(1, { state_key: "x" });
    server.room("s").publish(2, { state_key: "y" });
    server.intercept = (socket, { type, id }) => {
      if (type != "join") return false;
      server.intercept = undefined;
      server.room("s").members.set(socket, { presence: false, status: "active" });
      socket.give({ type: "joined", id, room: "s", epoch: server.room("s").epoch, seq: 2, state: true });
      socket.give(server.room("s").snapshot()[0]!);
      act(socket);
      return true;
    };
  }

  test("join resolves when the snapshot is whole; until then the room is joining, and the map empty", async () => {
    const server = serve({ state: true });
    half(server, (socket) => setTimeout(() => socket.give(server.room("s").snapshot()[1]!), 50));
    const room = clientOf(server).room("s");
    const changes = record(room, "state");
    const sizes: number[] = [];
    const join = watchOutcome(room.join().then(() => sizes.push(room.state.size)));
    const second = watchOutcome(room.join());
    await pass(40);
    expect([join.now, second.now, room.status, room.state.size, room.position, changes]).toEqual([undefined, undefined, "joining", 0, undefined, []]);
    await pass(20);
    expect([second.now, room.status, sizes, room.position?.seq]).toEqual(["done", "joined", [2], 2]);
    expect(await outcome(room.join())).toBe("done");
  });

  test("a message while the snapshot is on its way is not applied before it", async () => {
    const server = serve({ state: true });
    half(server, () => {});
    const room = clientOf(server).room("s");
    void outcome(room.join());
    await pass();
    server.socket.give({ type: "message", room: "s", seq: 2, time: 1, state_key: "y", data: "of the snapshot" });
    server.socket.give(server.room("s").snapshot()[1]!);
    server.socket.give({ type: "message", room: "s", seq: 3, time: 1, state_key: "z", data: 3 });
    await pass();
    expect([...room.state].map(([key, { data }]) => [key, data])).toEqual([["x", 1], ["y", 2], ["z", 3]]);
  });

  test("the snapshot after a gap or a reset takes the place of the map in one step", async () => {
    const server = serve({ state: true });
    server.room("s").publish(1, { state_key: "old" });
    const { room } = await joined(server, "s");
    const [epoch, before] = ["00000000000000ff", room.state];
    const entry = (key: string) => ({ key, seq: 9, time: 1, data: key });
    const part = { type: "state", room: "s", epoch, seq: 9 };
    const told = record<{ key: string; entry?: unknown }>(room, "state");
    server.socket.give({ type: "reset", room: "s", epoch, seq: 9, lost: 1, state: true });
    server.socket.give({ ...part, entries: [entry("a")], more: true });
    // Another one begins before this one's end: nothing of it counts.
    server.socket.give({ type: "reset", room: "s", epoch, seq: 9, lost: 1, state: true });
    server.socket.give({ ...part, entries: [entry("b")], more: true });
    await pass();
    expect([room.state, room.position?.epoch]).toEqual([before, server.room("s").epoch]);
    server.socket.give({ ...part, entries: [entry("c")], more: false });
    await pass();
    expect([[...room.state.keys()], room.position]).toEqual([["b", "c"], { epoch, seq: 9 }]);
    expect(told.map(({ key, entry }) => [key, !!entry])).toEqual([["old", false], ["b", true], ["c", true]]);
  });

  test("until the last part of a snapshot the position stays: a link lost in between loses nothing", async () => {
    const server = serve({ state: true });
    half(server, (socket) => setTimeout(() => socket.end(1006), 5));
    const room = clientOf(server).room("s");
    const join = watchOutcome(room.join());
    await pass(10);
    expect([join.now, room.status, room.position, room.state.size]).toEqual([undefined, "joining", undefined, 0]);
    await pass(3000);
    expect([join.now, room.position?.seq, room.state.size]).toEqual(["done", 2, 2]);
    expect(sent(server, "join").at(-1)?.since).toBeUndefined();
  });

  test("a refusal after a link that was lost in the first snapshot is the join's", async () => {
    const server = serve({ state: true });
    half(server, (socket) => {
      socket.end(1006);
      server.intercept = (socket, { type, id }) => {
        if (type == "join") socket.give({ type: "error", id, room: "s", code: "forbidden", message: "join" });
        return type == "join";
      };
    });
    const room = clientOf(server).room("s");
    const left = record(room, "left");
    const join = watchOutcome(room.join());
    await pass(3000);
    expect([join.now, left, room.status]).toEqual(["forbidden", [], "left"]);
  });

  test("points are of the snapshot; a value that comes later has none", async () => {
    const server = serve({ state: true, points: 2 });
    for (const value of [1, 2, 3]) server.room("s").publish(value, { state_key: "cpu" });
    const { room } = await joined(server, "s");
    expect(room.state.get("cpu")?.points).toEqual([{ seq: 2, time: expect.any(Number), data: 2 }, { seq: 3, time: expect.any(Number), data: 3 }]);
    server.room("s").publish(4, { state_key: "cpu" });
    await pass();
    expect(room.state.get("cpu")).toEqual({ seq: 4, time: expect.any(Number), data: 4 });
  });
});

describe("for await", () => {
  async function take(room: Room, count: number): Promise<unknown[]> {
    const taken: unknown[] = [];
    for await (const { data } of room) if (taken.push(data) == count) break;
    return taken;
  }

  test("gives the messages, and ends by leave and by close", async () => {
    const server = serve();
    const { client, room } = await joined(server, "a");
    const three = take(room, 3);
    const left = take(room, 99);
    for (let index = 1; index <= 3; index++) server.room("a").publish(index);
    await pass();
    expect(await three).toEqual([1, 2, 3]);
    await Promise.all([room.leave(), pass()]);
    expect(await left).toEqual([1, 2, 3]);
    await Promise.all([room.join(), pass()]);
    const closed = take(room, 99);
    await client.close();
    expect(await closed).toEqual([]);
  });

  test.each(["gap", "reset"] as const)("throws %s, unless the room has a listener for it", async (name) => {
    const server = serve();
    const { room } = await joined(server, "a");
    const act = () => (name == "gap" ? server.room("a").gap(2) : server.room("a").reset());
    const thrown = watchOutcome(take(room, 9));
    await pass();
    act();
    await pass();
    expect(thrown.now).toBe(name);
    room.on(name, () => {});
    const going = take(room, 1);
    await pass();
    act();
    server.room("a").publish("on");
    await pass();
    expect(await going).toEqual(["on"]);
  });

  test("throws slow_reader beyond 10,000 messages that nobody took", async () => {
    const server = serve();
    const { room } = await joined(server, "a");
    const iterator = room[Symbol.asyncIterator]();
    for (let index = 0; index <= 10_000; index++) server.room("a").publish(index);
    await pass();
    let count = 0;
    const reading = (async () => {
      for (;;) {
        if ((await iterator.next()).done) return;
        count++;
      }
    })();
    expect([await outcome(reading), count]).toEqual(["slow_reader", 10_000]);
  });
});

describe("load", () => {
  function loader(...results: (Position | Error)[]) {
    const calls: number[] = [];
    const load = async () => {
      calls.push(Date.now());
      const result = results.length > 1 ? results.shift() : results[0];
      if (!result || result instanceof Error) throw result;
      await new Promise((resolve) => setTimeout(resolve, 100));
      return result;
    };
    return { load, calls };
  }
  const at = (server: FakeServer, seq: number) => ({ epoch: server.room("a").epoch, seq });

  test("is read before the first join, which begins from its position", async () => {
    const server = serve();
    for (let index = 1; index <= 5; index++) server.room("a").publish(index);
    const { load } = loader(at(server, 3));
    const client = clientOf(server);
    const room = client.room("a", { load });
    const got: Message[] = [];
    room.on("message", (message) => got.push(message));
    await Promise.all([room.join(), pass(100)]);
    await pass();
    expect(got.map(({ seq }) => seq)).toEqual([4, 5]);
  });

  test("a rejection is tried again with back-off", async () => {
    const server = serve();
    const { load, calls } = loader(new Error("1"), new Error("2"), at(server, 0));
    const join = watchOutcome(clientOf(server).room("a", { load }).join());
    await pass(700);
    expect([join.now, calls.length]).toEqual([undefined, 2]);
    await pass(3000);
    expect([join.now, calls.length]).toEqual(["done", 3]);
  });

  test("what gives no position is tried again, and of what comes with one nothing is sent", async () => {
    const server = serve();
    const position = at(server, 0);
    const load = vi.fn(async () => (load.mock.calls.length < 3 ? undefined : { ...position, items: ["private"] }) as never);
    const join = watchOutcome(clientOf(server).room("a", { load }).join());
    await pass(4000);
    expect([join.now, load.mock.calls.length]).toEqual(["done", 3]);
    expect(sent(server, "join").map(({ since }) => since)).toEqual([position]);
  });

  test("close leaves no timer behind while it waits to be tried again", async () => {
    const client = clientOf(serve());
    const join = watchOutcome(client.room("a", { load: () => Promise.reject(new Error("1")) }).join());
    await pass(10_000);
    await client.close();
    await pass();
    expect([join.now, vi.getTimerCount()]).toEqual(["closed", 0]);
  });

  async function hole(results: (seq: number) => (Position | Error)[], strict = false) {
    const server = serve();
    server.room("a").publish(1);
    const results_ = [at(server, 1), ...results(0)];
    const { load, calls } = loader(...results_);
    const client = clientOf(server);
    const room = client.room("a", strict ? { load, strict } : { load });
    const seqs: number[] = [];
    room.on("message", ({ seq }) => seqs.push(seq));
    const gaps = record(room, "gap");
    await Promise.all([room.join(), pass(100)]);
    server.disconnect();
    for (let index = 2; index <= 6; index++) server.room("a").publish(index);
    server.room("a").forget(4);
    await pass(620);
    return { server, room, seqs, gaps, calls };
  }

  test("after a gap messages are held while it runs, then those above its position come", async () => {
    const server = serve();
    const { seqs, gaps, calls, room, server: node } = await hole(() => [{ epoch: server.room("a").epoch, seq: 5 }]);
    node.room("a").publish(7);
    await pass(2000);
    expect([seqs, gaps, calls.length, room.position?.seq]).toEqual([[6, 7], [], 2, 7]);
    expect(sent(node, "join").length).toBe(2);
  });

  test("if its position lies before the hole's end, the room is joined again with it, once", async () => {
    const server = serve();
    const { seqs, gaps, calls, room, server: node } = await hole(() => [{ epoch: server.room("a").epoch, seq: 2 }]);
    await pass(3000);
    expect(sent(node, "join").map(({ since }) => (since as Position | undefined)?.seq)).toEqual([1, 1, 2]);
    expect([seqs, gaps, calls.length]).toEqual([[5, 6], [{ room: "a", from: 3, to: 4 }], 2]);
    expect(room.status).toBe("joined");
    node.room("a").publish(7);
    await pass();
    expect(seqs).toEqual([5, 6, 7]);
  });

  test.each(["a lost link", "a move"])("it may end short of the hole while a join after %s is unanswered", async (what) => {
    const server = serve();
    server.room("a").publish(1);
    let loaded: (at: Position) => void = () => {};
    const room = clientOf(server).room("a", { load: () => new Promise((resolve) => (loaded = resolve)) });
    const lefts = record(room, "left");
    const seqs: number[] = [];
    room.on("message", ({ seq }) => seqs.push(seq));
    void room.join();
    await pass();
    loaded(at(server, 1));
    await pass();
    server.disconnect();
    for (let index = 2; index <= 6; index++) server.room("a").publish(index);
    server.room("a").forget(4);
    await pass(700);
    // Its answers take a while.
    const late: (() => void)[] = [];
    server.intercept = (socket, frame) => late.push(() => server.received(socket, frame)) > 0;
    if (what == "a move") server.socket.give({ type: "reconnect", after_ms: 0, reason: "drain" });
    else server.disconnect();
    await pass(1500);
    loaded(at(server, 2));
    await pass();
    server.intercept = undefined;
    late.forEach((answer) => answer());
    await pass(6000);
    server.room("a").publish(7);
    await pass();
    expect([room.status, seqs, lefts]).toEqual(["joined", [5, 6, 7], []]);
  });

  test("with strict, unrecoverable counts as a gap", async () => {
    const server = serve();
    const { seqs, gaps, calls, room } = await hole(() => [{ epoch: server.room("a").epoch, seq: 4 }], true);
    await pass(3000);
    expect([seqs, gaps, calls.length, room.status]).toEqual([[5, 6], [], 2, "joined"]);
  });

  test("a reset is loaded over in the same way", async () => {
    const server = serve();
    server.room("a").publish(1);
    const results: Position[] = [at(server, 1)];
    const room = clientOf(server).room("a", { load: async () => results[0]! });
    const [resets, seqs] = [record(room, "reset"), [] as number[]];
    room.on("message", ({ seq }) => seqs.push(seq));
    await Promise.all([room.join(), pass(100)]);
    results[0] = { epoch: "00000000000000e2", seq: 1 };
    server.room("a").reset(0);
    server.room("a").publish(2);
    await pass(1000);
    expect([resets, seqs, room.position]).toEqual([[], [2], { epoch: "00000000000000e2", seq: 2 }]);
  });
});
