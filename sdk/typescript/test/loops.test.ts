// `for await` over a room: whatever becomes of the membership and of the client, a loop gives what
// came, and then ends or throws. None waits for what will not come.
import { describe, expect, test, vi } from "vitest";
import { Client, type Room } from "../src/index.js";
import type { FakeServer } from "../src/testing.js";
import { clientOf, outcome, pass, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

/** What a loop gave, then "end" or what it threw. */
function loop(room: Room): unknown[] {
  const got: unknown[] = [];
  const run = async () => {
    for await (const { data } of room) got.push(data);
    return "end";
  };
  void outcome(run()).then((result) => got.push(result));
  return got;
}
const refuseJoins = (server: FakeServer, code: string) =>
  (server.intercept = (socket, { type, id, room }) => {
    if (type == "join") socket.give({ type: "error", id, room, code, message: code });
    return type == "join";
  });

describe("a loop that begins before the first join", () => {
  test("gets the messages after it", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    const got = loop(room);
    await Promise.all([room.join(), pass()]);
    server.room("a").publish(1);
    await pass();
    expect(got).toEqual([1]);
  });

  test("throws what the join is refused with", async () => {
    const server = serve();
    refuseJoins(server, "forbidden");
    const room = clientOf(server).room("a");
    const got = loop(room);
    void outcome(room.join());
    await pass();
    expect(got).toEqual(["forbidden"]);
  });

  test("throws what the client fails with", async () => {
    const server = serve();
    server.refusal = { status: 403, code: "banned" };
    const room = clientOf(server).room("a");
    const got = loop(room);
    void outcome(room.join());
    await pass();
    expect(got).toEqual(["banned"]);
  });

  test("throws no_websocket where there is none", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const room = new Client("ws://fake/ws").room("a");
    const got = loop(room);
    void outcome(room.join());
    await pass();
    expect(got).toEqual(["no_websocket"]);
  });

  test.each([true, false])("ends where the join is given up (before it began: %s)", async (isBefore) => {
    const server = serve();
    server.refusal = "away";
    const room = clientOf(server).room("a");
    const got = loop(room);
    const abort = new AbortController();
    if (isBefore) abort.abort();
    void outcome(room.join({ signal: abort.signal }));
    await pass(10);
    abort.abort();
    await pass();
    expect(got).toEqual([isBefore ? "aborted" : "end"]);
  });

  test("goes on where one of two joins is given up", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    const got = loop(room);
    const abort = new AbortController();
    void outcome(room.join());
    void outcome(room.join({ signal: abort.signal }));
    abort.abort();
    await pass();
    server.room("a").publish(1);
    await pass();
    expect([got, room.status]).toEqual([[1], "joined"]);
  });

  test.each(["leave", "close"] as const)("ends with %s", async (name) => {
    const client = clientOf(serve());
    const room = client.room("a");
    const got = loop(room);
    void outcome(room.join());
    void (name == "leave" ? room.leave() : client.close());
    await pass();
    expect(got).toEqual(["end"]);
  });
});

describe("a loop that begins where nothing comes any more", () => {
  test("ends at once after leave, and waits again after the next join", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    await Promise.all([room.join(), pass()]);
    await Promise.all([room.leave(), pass()]);
    const left = loop(room);
    await pass();
    await Promise.all([room.join(), pass()]);
    const again = loop(room);
    server.room("a").publish(1);
    await pass();
    expect([left, again]).toEqual([["end"], [1]]);
  });

  test("ends at once after the node has taken the membership away", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    await Promise.all([room.join(), pass()]);
    const before = loop(room);
    await pass();
    server.socket.give({ type: "left", room: "a", reason: "forbidden" });
    await pass();
    const after = loop(room);
    await pass();
    expect([before, after]).toEqual([["end"], ["end"]]);
  });

  test("waits where the application joins again as soon as it hears of the end", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    await Promise.all([room.join(), pass()]);
    room.on("left", () => void room.join());
    const before = loop(room);
    await pass();
    server.room("a").leave(server.socket);
    server.socket.give({ type: "left", room: "a", reason: "forbidden" });
    await pass();
    const after = loop(room);
    server.room("a").publish(1);
    await pass();
    expect([before, after]).toEqual([["end"], [1]]);
  });

  test("throws the refusal after a refused join", async () => {
    const server = serve();
    refuseJoins(server, "forbidden");
    const room = clientOf(server).room("a");
    void outcome(room.join());
    await pass();
    const got = loop(room);
    await pass();
    expect(got).toEqual(["forbidden"]);
  });

  test("ends at once after close, and throws after failed, in rooms of then and of before", async () => {
    const server = serve();
    const closed = clientOf(server);
    const failed = clientOf(server);
    await Promise.all([closed.room("a").join(), failed.room("a").join(), pass()]);
    const running = loop(failed.room("a"));
    await pass();
    await closed.close();
    server.disconnect(4501, "banned");
    await pass();
    const loops = [closed.room("a"), closed.room("new"), failed.room("a"), failed.room("new")].map(loop);
    await pass();
    expect([running, ...loops]).toEqual([["banned"], ["end"], ["end"], ["banned"], ["banned"]]);
  });
});

describe("the iterator by itself", () => {
  test("several that ask at once get one message each, in order", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    await Promise.all([room.join(), pass()]);
    const iterator = room[Symbol.asyncIterator]();
    const asked = [1, 2, 3].map(() => watchOutcome(iterator.next().then(({ value, done }) => (done ? "done" : value.data))));
    server.room("a").publish("one");
    server.room("a").publish("two");
    await pass();
    expect(asked.map(({ now }) => now)).toEqual(["one", "two", undefined]);
    await room.leave();
    await pass();
    expect(asked[2]?.now).toBe("done");
  });

  test("a loop that breaks off throws nothing, though a hole came meanwhile", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    await Promise.all([room.join(), pass()]);
    const run = async () => {
      for await (const { data } of room) {
        server.room("a").gap(2);
        await new Promise((resolve) => setTimeout(resolve, 1));
        return data;
      }
      return "end";
    };
    const result = watchOutcome(run());
    server.room("a").publish("first");
    await pass(10);
    expect(result.now).toBe("first");
  });

  test("return ends an asking that waits", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    await Promise.all([room.join(), pass()]);
    const iterator = room[Symbol.asyncIterator]();
    const asked = watchOutcome(iterator.next());
    await pass();
    const ended = watchOutcome(iterator.return?.() ?? Promise.reject(new Error("no return")));
    await pass();
    expect([asked.now, ended.now]).toEqual([{ value: undefined, done: true }, { value: undefined, done: true }]);
  });
});
