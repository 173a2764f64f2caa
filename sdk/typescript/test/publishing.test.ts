// Publishing: order, keys, bounds, what is sent again and what is not.
import { describe, expect, test } from "vitest";
import type { FakeServer } from "../src/testing.js";
import { clientOf, outcome, pass, sent, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

/** Refuses publishes with these codes in turn, then lets them through. */
function refuse(server: FakeServer, codes: string[], retry_after_ms?: number): void {
  server.intercept = (socket, { type, id, room }) => {
    const code = type == "publish" && codes.shift();
    if (code) socket.give({ type: "error", id, room, code, message: code, ...(retry_after_ms && { retry_after_ms }) });
    return !!code;
  };
}
const swallow = (server: FakeServer) => (server.intercept = (_, { type }) => type == "publish");
const data = (server: FakeServer) => server.room("a").log.map((message) => message.data);

/** The next publish is stored, and its connection lost before the ack. */
function loseNextAck(server: FakeServer): void {
  server.intercept = (socket, frame) => {
    if (frame.type != "publish") return false;
    server.intercept = undefined;
    server.received(socket, frame);
    socket.isSilent = true;
    socket.end(1006);
    return true;
  };
}

describe("publishing", () => {
  test("resolves with the message's place; joining is not needed", async () => {
    const server = serve();
    const published = watchOutcome(clientOf(server).room("a").publish({ text: "hello" }, { event: "note" }));
    await pass();
    expect(published.now).toEqual({ epoch: server.room("a").epoch, seq: 1, time: expect.any(Number) });
    expect(server.room("a").log[0]).toMatchObject({ event: "note", data: { text: "hello" } });
  });

  test("options are sent as the node's fields, absent ones are left out", async () => {
    const server = serve({ state: true });
    const room = clientOf(server).room("a");
    void outcome(room.publish(1, { stateKey: "k", ttlMs: 500, receipts: true, echo: false, key: "own" }));
    void outcome(room.publish(undefined, { stateKey: "k", remove: true }));
    await pass();
    const [first, second] = sent(server, "publish");
    expect(first).toEqual({ type: "publish", id: expect.any(Number), room: "a", key: "own", state_key: "k", ttl_ms: 500, receipts: true, echo: false, data: 1 });
    expect(second).toEqual({ type: "publish", id: expect.any(Number), room: "a", key: expect.any(String), state_key: "k", remove: true, data: null });
  });

  test("a number as condition is one of the room's epoch; without one it rejects with no_position", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    expect(await outcome(room.publish(1, { ifSeq: 0 }))).toBe("no_position");
    await Promise.all([room.join(), pass()]);
    expect(await Promise.all([outcome(room.publish(1, { ifSeq: 0 })), pass()])).toContainEqual(expect.objectContaining({ seq: 1 }));
    expect(await Promise.all([outcome(room.publish(1, { ifSeq: { epoch: server.room("a").epoch, seq: 0 } })), pass()])).toContain("seq_conflict");
  });

  test("what cannot be encoded rejects and throws nothing", async () => {
    const loop: Record<string, unknown> = {};
    loop.loop = loop;
    expect(await outcome(clientOf(serve()).room("a").publish(loop))).toBe("bad_data");
  });

  test("bytes go and come as Uint8Array", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    const got: unknown[] = [];
    room.on("message", (message) => got.push(message.data));
    await Promise.all([room.join(), pass()]);
    void room.publish(Uint8Array.of(1, 2, 255));
    await pass();
    expect(got).toEqual([Uint8Array.of(1, 2, 255)]);
  });

  test("one that got no answer is sent again with its key, and stored once", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    loseNextAck(server);
    const published = watchOutcome(room.publish("once"));
    await pass(3000);
    expect([published.now, data(server), sent(server, "publish").length]).toEqual([expect.objectContaining({ seq: 1 }), ["once"], 2]);
  });

  test("100 s after the first sending without a sure answer it rejects with publish_unknown", async () => {
    const server = serve();
    swallow(server);
    const client = clientOf(server);
    const published = watchOutcome(client.room("a").publish(1));
    await pass(50_000);
    server.disconnect();
    await pass(49_000);
    expect([published.now, client.queued]).toEqual([undefined, 1]);
    await pass(1100);
    expect([published.now, client.queued]).toEqual(["publish_unknown", 0]);
  });

  test("one that was never sent may wait without end", async () => {
    const server = serve();
    server.refusal = "away";
    const client = clientOf(server);
    const published = watchOutcome(client.room("a").publish(1));
    await pass(3_600_000);
    expect([published.now, client.queued]).toEqual([undefined, 1]);
    server.refusal = undefined;
    await pass(31_000);
    expect([published.now, client.queued]).toEqual([expect.objectContaining({ seq: 1 }), 0]);
  });

  test.each(["overloaded", "bus_unavailable", "rate_limited", "publish_unknown"])(
    "after %s it is sent again when the node says so, and later ones wait so that call order holds",
    async (code) => {
      const server = serve();
      const client = clientOf(server);
      const room = client.room("a");
      await Promise.all([client.connect(), pass()]);
      refuse(server, [code], 3000);
      const first = watchOutcome(room.publish(1));
      await pass();
      const later = [watchOutcome(room.publish(2)), watchOutcome(room.publish(3))];
      const other = watchOutcome(client.room("b").publish("b"));
      await pass(2900);
      expect([first.now, later[0]?.now, data(server), other.now]).toEqual([undefined, undefined, [], expect.objectContaining({ seq: 1 })]);
      await pass(200);
      expect([first, ...later].map(({ now }) => (now as { seq: number }).seq)).toEqual([1, 2, 3]);
    },
  );

  test("without retry_after_ms it is sent again after one second", async () => {
    const server = serve();
    refuse(server, ["overloaded"]);
    const published = watchOutcome(clientOf(server).room("a").publish(1));
    await pass(990);
    expect(published.now).toBeUndefined();
    await pass(20);
    expect(published.now).toMatchObject({ seq: 1 });
  });

  test("all other codes reject as they are", async () => {
    const server = serve();
    refuse(server, ["forbidden"]);
    expect(await Promise.all([outcome(clientOf(server).room("a").publish(1)), pass()])).toContain("forbidden");
  });

  test.each([
    ["forbidden", "publish_unknown"],
    ["key_conflict", "key_conflict"],
    ["seq_conflict", "seq_conflict"],
  ])("after a sending without a sure answer %s rejects as %s", async (code, told) => {
    const server = serve();
    swallow(server);
    const published = watchOutcome(clientOf(server).room("a").publish(1));
    await pass(10);
    refuse(server, [code]);
    server.disconnect();
    await pass(3000);
    expect(published.now).toBe(told);
  });

  test("a long queue is sent in portions and in order", async () => {
    const server = serve();
    server.refusal = "away";
    const client = clientOf(server);
    const all = Array.from({ length: 500 }, (_, index) => watchOutcome(client.room("a").publish(index)));
    await pass(10);
    let most = 0;
    let waiting = 0;
    server.intercept = (socket, frame) => {
      if (frame.type != "publish") return false;
      most = Math.max(most, ++waiting);
      setTimeout(() => {
        waiting--;
        const intercept = server.intercept;
        server.intercept = undefined;
        server.received(socket, frame);
        server.intercept = intercept;
      }, 50);
      return true;
    };
    server.refusal = undefined;
    await pass(10_000);
    expect(all.every(({ now }) => typeof now == "object")).toBe(true);
    expect(data(server)).toEqual(Array.from({ length: 500 }, (_, index) => index));
    expect(most).toBeLessThanOrEqual(64);
  });

  test("beyond the queue's bounds a publish rejects with queue_full, connected or not", async () => {
    const server = serve();
    swallow(server);
    const client = clientOf(server, { queue: { messages: 2, bytes: 10_000 } });
    const room = client.room("a");
    const waiting = [watchOutcome(room.publish(1)), watchOutcome(room.publish(2))];
    expect([await outcome(room.publish(3)), client.queued]).toEqual(["queue_full", 2]);
    await pass();
    expect(await outcome(room.publish(4))).toBe("queue_full");
    expect(waiting[0]?.now).toBeUndefined();
    const small = clientOf(server, { queue: { bytes: 500 } }).room("a");
    expect(await outcome(small.publish("x".repeat(500)))).toBe("queue_full");
  });

  test("one above the node's limit rejects with too_large and costs no connection", async () => {
    const server = serve();
    server.limits.message_bytes = 1000;
    const client = clientOf(server);
    expect(await Promise.all([outcome(client.room("a").publish("é".repeat(600))), pass()])).toContain("too_large");
    expect([sent(server, "publish").length, client.state]).toEqual([0, "connected"]);
  });

  test("timeout, abort, close and failure settle what waits", async () => {
    const server = serve();
    server.refusal = "away";
    const abort = new AbortController();
    const client = clientOf(server, { timeout: 5000 });
    const late = watchOutcome(client.room("a").publish(1));
    const given = watchOutcome(client.room("a").publish(2, { signal: abort.signal }));
    await pass(1000);
    abort.abort();
    await pass();
    expect([late.now, given.now, client.queued]).toEqual([undefined, "aborted", 1]);
    await pass(4000);
    expect([late.now, client.queued]).toEqual(["timeout", 0]);
    const closed = watchOutcome(client.room("a").publish(3));
    await client.close();
    await pass();
    expect([closed.now, client.queued]).toEqual(["closed", 0]);
    expect(await outcome(clientOf(server).room("a").publish(4, { signal: abort.signal }))).toBe("aborted");
    server.refusal = { status: 403, code: "banned" };
    expect(await Promise.all([outcome(clientOf(server).room("a").publish(5)), pass()])).toContain("banned");
  });

  test("what was published without echo does not come back after a reconnect either", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    const got: unknown[] = [];
    room.on("message", (message) => got.push(message.data));
    await Promise.all([room.join(), pass()]);
    void room.publish("mine", { echo: false });
    await pass();
    server.disconnect();
    server.room("a").publish("theirs");
    await pass(2000);
    expect([got, room.position?.seq]).toEqual([["theirs"], 2]);
  });

  test("one without echo whose ack was lost with its connection may come back, once", async () => {
    const server = serve();
    const room = clientOf(server).room("a");
    const got: unknown[] = [];
    room.on("message", (message) => got.push(message.data));
    await Promise.all([room.join(), pass()]);
    loseNextAck(server);
    const published = watchOutcome(room.publish("mine", { echo: false }));
    await pass(3000);
    server.disconnect();
    await pass(3000);
    expect([published.now, got]).toEqual([expect.objectContaining({ seq: 1 }), ["mine"]]);
  });

  test("ifKeySeq stores only over the value that was read; 0 where there is none", async () => {
    const server = serve({ state: true });
    const room = clientOf(server).room("a");
    await Promise.all([room.join(), pass()]);
    const put = async (ifKeySeq: number) => (await Promise.all([outcome(room.publish(1, { stateKey: "k", ifKeySeq })), pass()]))[0];
    expect([await put(0), await put(0), await put(1)]).toEqual([expect.objectContaining({ seq: 1 }), "seq_conflict", expect.objectContaining({ seq: 2 })]);
    expect(sent(server, "publish").at(-1)).toMatchObject({ if_key_seq: 1, epoch: server.room("a").epoch });
  });

  test("queued counts what is not acknowledged", async () => {
    const server = serve();
    swallow(server);
    const client = clientOf(server);
    void outcome(client.room("a").publish(1));
    void outcome(client.room("a").publish(2));
    await pass();
    expect(client.queued).toBe(2);
    server.intercept = undefined;
    server.disconnect();
    await pass(2000);
    expect(client.queued).toBe(0);
  });
});
