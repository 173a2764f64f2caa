// Connecting: the states, pauses, reasons and codes of the contract's section on the client.
import { describe, expect, test, vi } from "vitest";
import { Client } from "../src/index.js";
import { clientOf, outcome, pass, record, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

describe("opening", () => {
  test("the constructor opens nothing", async () => {
    const server = serve();
    const client = clientOf(server);
    client.room("a");
    await pass(60_000);
    expect([server.handshakes.length, client.state]).toEqual([0, "idle"]);
  });

  test("connect resolves when the node said connected", async () => {
    const server = serve();
    const client = clientOf(server);
    const connected = record(client, "connected");
    const connecting = watchOutcome(client.connect());
    expect(client.state).toBe("connecting");
    await pass();
    expect([connecting.now, client.state, connected.length]).toEqual(["done", "connected", 1]);
  });

  test("without a class of sockets connect, join and publish reject with no_websocket", async () => {
    vi.stubGlobal("WebSocket", undefined);
    const client = new Client("ws://fake/ws");
    expect(await outcome(client.connect())).toBe("no_websocket");
    expect(await outcome(client.room("a").join())).toBe("no_websocket");
    expect(await outcome(client.room("a").publish(1))).toBe("no_websocket");
    expect(client.state).toBe("idle");
  });

  test("connection is the present one's id, and undefined without one", async () => {
    const server = serve();
    const client = clientOf(server);
    expect(client.connection).toBeUndefined();
    await outcome(Promise.all([client.connect(), pass()]));
    expect(client.connection).toBe(server.socket.connection);
    const first = client.connection;
    server.disconnect();
    await pass();
    expect(client.connection).toBeUndefined();
    await pass(2000);
    expect(client.connection).toBe(server.socket.connection);
    expect(client.connection).not.toBe(first);
    await client.close();
    expect(client.connection).toBeUndefined();
  });

  test("client and tries are always sent, user if it is given", async () => {
    const server = serve();
    server.refusal = "away";
    const client = clientOf(server, { user: "alice" });
    void outcome(client.connect());
    await pass(600);
    server.refusal = undefined;
    await pass(5_000);
    const queries = server.handshakes.map(({ url }) => Object.fromEntries(url.searchParams));
    expect(queries.slice(0, 2).map(({ tries, user }) => [tries, user])).toEqual([["1", "alice"], ["2", "alice"]]);
    expect(queries[0]?.client).toMatch(/^[\x21-\x7e]{1,64}$/);
    expect(new Set(queries.map(({ client }) => client)).size).toBe(1);
    server.disconnect();
    await pass(5_000);
    expect(server.handshakes.at(-1)?.url.searchParams.get("tries")).toBe("1");
  });

  test("an address that is none fails with a code, and throws nothing", async () => {
    const client = clientOf(serve(), {});
    const bad = new Client("::", { WebSocket: serve().WebSocket });
    const failed = record<Error & { code: string }>(bad, "failed");
    expect(await outcome(bad.connect())).toBe("bad_url");
    expect([bad.state, failed[0]?.code]).toEqual(["closed", "bad_url"]);
    void client;
  });
});

describe("coming back", () => {
  test("pauses have full jitter under a ceiling that doubles up to the cap", async () => {
    const server = serve();
    server.refusal = "away";
    const client = clientOf(server, { backoff: { initial: 1000, factor: 2, cap: 30_000 } });
    const events = record<{ attempt: number; delayMs: number }>(client, "reconnecting");
    void outcome(client.connect());
    await pass(200_000);
    const delays = events.map(({ delayMs }) => delayMs);
    [500, 1000, 2000, 4000, 8000, 15_000, 15_000].forEach((delay, index) => {
      expect(delays[index]).toBeGreaterThanOrEqual(delay);
      expect(delays[index]).toBeLessThan(delay * 1.01 + 1);
    });
    expect(events.map(({ attempt }) => attempt).slice(0, 3)).toEqual([1, 2, 3]);
    expect(client.state).toBe("reconnecting");
  });

  test("the pause begins again only after five seconds of connection", async () => {
    const server = serve();
    const client = clientOf(server);
    const events = record<{ delayMs: number }>(client, "reconnecting");
    await outcome(Promise.all([client.connect(), pass()]));
    for (const life of [10, 10, 10, 6000]) {
      await pass(life);
      server.disconnect();
      await pass(60_000 - 50_000);
      if (life == 6000) break;
    }
    expect(events.map(({ delayMs }) => Math.round(delayMs / 100))).toEqual([5, 5, 5, 5]);
  });

  test("the pause grows over connections that live for a moment", async () => {
    const server = serve();
    server.intercept = () => true;
    const client = clientOf(server);
    const events = record<{ delayMs: number }>(client, "reconnecting");
    await outcome(Promise.all([client.connect(), pass()]));
    for (let times = 0; times < 3; times++) {
      server.disconnect();
      await pass(2100);
    }
    expect(events.map(({ delayMs }) => Math.round(delayMs / 100))).toEqual([5, 10, 20]);
  });

  test("Retry-After is a lower bound", async () => {
    const server = serve();
    server.refusal = { status: 503, code: "full", retryAfter: 7 };
    const client = clientOf(server);
    const events = record<{ delayMs: number; code?: unknown }>(client, "reconnecting");
    void outcome(client.connect());
    await pass();
    expect(events[0]?.code).toBe("full");
    expect(events[0]?.delayMs).toBeGreaterThanOrEqual(7000);
    await pass(7000);
    expect(server.handshakes.length).toBe(1);
    await pass(600);
    expect(server.handshakes.length).toBe(2);
  });

  test("close ends the question why a handshake failed, so that no timer is left", async () => {
    const server = serve();
    server.refusal = "away";
    vi.stubGlobal("fetch", async (_: string, { signal }: { signal: AbortSignal }) => {
      signal.throwIfAborted();
      await new Promise((__, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    });
    const client = clientOf(server);
    const connect = watchOutcome(client.connect());
    await pass(100);
    await client.close();
    await pass();
    expect([connect.now, vi.getTimerCount()]).toEqual(["closed", 0]);
  });

  test("a network that is back ends a question that got lost", async () => {
    const server = serve();
    server.refusal = "away";
    vi.stubGlobal("fetch", async (_: string, { signal }: { signal: AbortSignal }) => {
      signal.throwIfAborted();
      await new Promise((__, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    });
    const target = new EventTarget();
    vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
    const client = clientOf(server);
    void outcome(client.connect());
    await pass(100);
    expect(server.handshakes.length).toBe(1);
    server.refusal = undefined;
    target.dispatchEvent(new Event("online"));
    await pass(2100);
    expect([server.handshakes.length, client.state]).toEqual([2, "connected"]);
  });

  test("a Retry-After below nothing is none", async () => {
    const server = serve();
    server.refusal = { status: 503, code: "full", retryAfter: -7 };
    const client = clientOf(server);
    const events = record<{ delayMs: number }>(client, "reconnecting");
    void outcome(client.connect());
    await pass();
    expect(events[0]?.delayMs).toBeGreaterThanOrEqual(0);
  });

  test("an attempt without connected is given up after the handshake timeout", async () => {
    const server = serve();
    server.isHanging = true;
    const client = clientOf(server, { handshakeTimeout: 3000 });
    void outcome(client.connect());
    await pass(3000);
    expect(client.state).toBe("reconnecting");
    server.isHanging = false;
    await pass(1000);
    expect(client.state).toBe("connected");
  });

  test("the close code is told with reconnecting, reconnected follows, connected comes once", async () => {
    const server = serve();
    const client = clientOf(server);
    const names: unknown[] = [];
    client.on("connected", () => names.push("connected"));
    client.on("reconnecting", ({ attempt, code }) => names.push([attempt, code]));
    client.on("reconnected", () => names.push("reconnected"));
    await outcome(Promise.all([client.connect(), pass()]));
    server.disconnect(1012);
    await pass(2000);
    expect(names).toEqual(["connected", [1, 1012], "reconnected"]);
  });

  test("after 4002 the client waits for the application's next call", async () => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.connect(), pass()]));
    server.disconnect(4002, "idle");
    await pass(120_000);
    expect([client.state, server.handshakes.length]).toEqual(["idle", 1]);
    const again = watchOutcome(client.room("a").publish(1));
    await pass(10);
    expect([client.state, again.now]).toEqual(["connected", { epoch: expect.any(String), seq: 1, time: expect.any(Number) }]);
  });

  test("after 4002 what was published and has no answer goes on", async () => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.connect(), pass()]));
    server.intercept = (socket, { type, id, room }) => {
      if (type != "publish") return false;
      server.intercept = undefined;
      socket.give({ type: "error", id, room, code: "overloaded", message: "later", retry_after_ms: 5000 });
      return true;
    };
    const published = watchOutcome(client.room("a").publish(1));
    await pass();
    server.disconnect(4002, "idle");
    await pass(6000);
    expect([published.now, client.state]).toEqual([expect.objectContaining({ seq: 1 }), "connected"]);
  });

  test("a closed client never comes back, and every call rejects", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    await outcome(Promise.all([room.join(), pass()]));
    await client.close();
    await pass(120_000);
    expect([client.state, server.sockets.length, server.handshakes.length]).toEqual(["closed", 0, 1]);
    const calls = [client.connect(), room.join(), room.leave(), room.publish(1), room.history(), room.list(), room.received({ epoch: "", seq: 1 }), room.presence({ status: "away" })];
    expect(await Promise.all(calls.map(outcome))).toEqual(calls.map(() => "closed"));
  });

  test("a page that is shown again and again puts the next attempt off for no moment", async () => {
    const server = serve();
    const target = new EventTarget();
    vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
    const client = clientOf(server);
    server.refusal = "away";
    void outcome(client.connect());
    await pass();
    server.refusal = undefined;
    for (let times = 0; times < 6; times++) {
      await pass(100);
      target.dispatchEvent(new Event("pageshow"));
    }
    expect(client.state).toBe("connected");
  });

  test("coming online cuts a long pause short, but not below the node's own delay", async () => {
    const server = serve();
    const target = new EventTarget();
    vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
    vi.stubGlobal("document", { hidden: false });
    server.refusal = { status: 503, code: "full", retryAfter: 20 };
    const client = clientOf(server);
    void outcome(client.connect());
    await pass();
    target.dispatchEvent(new Event("online"));
    await pass(19_000);
    expect(server.handshakes.length).toBe(1);
    server.refusal = "away";
    await pass(150_000);
    const before = server.handshakes.length;
    server.refusal = undefined;
    target.dispatchEvent(new Event("online"));
    await pass(1000);
    expect([server.handshakes.length, client.state]).toEqual([before + 1, "connected"]);
  });
});

describe("final codes and statuses", () => {
  test.each([
    [4501, "banned"],
    [4502, "disconnected"],
    [4503, "replaced"],
    [1009, "close_1009"],
    [4599, "close_4599"],
  ])("after the close code %i the client fails with its reason", async (code, reason) => {
    const server = serve();
    const client = clientOf(server);
    const failed = record<{ code: string }>(client, "failed");
    await outcome(Promise.all([client.connect(), pass()]));
    server.disconnect(code);
    await pass(60_000);
    expect([failed.map(({ code }) => code), client.state, server.handshakes.length]).toEqual([[reason], "closed", 1]);
  });

  test("the reason of the Close frame is the code of the failure", async () => {
    const server = serve();
    const client = clientOf(server);
    const failed = record<{ code: string }>(client, "failed");
    await outcome(Promise.all([client.connect(), pass()]));
    server.disconnect(1009, "too_big");
    await pass();
    expect(failed[0]?.code).toBe("too_big");
  });

  test.each([1000, 1001, 1011, 1012, 1013, 4000, 4001, 4003, 4100])("after %i the client comes back", async (code) => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.connect(), pass()]));
    server.disconnect(code);
    await pass(5000);
    expect([client.state, server.handshakes.length]).toEqual(["connected", 2]);
  });

  test.each([
    [400, "bad_query"],
    [401, "bad_token"],
    [401, "no_token"],
    [403, "bad_origin"],
    [403, "banned"],
  ])("a handshake refused with %i %s is final", async (status, code) => {
    const server = serve();
    server.refusal = { status, code };
    const client = clientOf(server);
    const failed = record<{ code: string }>(client, "failed");
    expect(await Promise.all([outcome(client.connect()), pass()])).toContain(code);
    await pass(120_000);
    expect([failed[0]?.code, client.state, server.handshakes.length]).toEqual([code, "closed", 1]);
  });

  test.each([
    [401, "spent_ticket"],
    [404, "not_found"],
    [429, "rate_limited"],
    [503, "not_ready"],
  ])("after %i %s the client comes back", async (status, code) => {
    const server = serve();
    server.refusal = { status, code };
    const client = clientOf(server);
    const connecting = watchOutcome(client.connect());
    await pass(5000);
    server.refusal = undefined;
    await pass(40_000);
    expect(connecting.now).toBe("done");
  });

  test("the reason is asked once after the failure, then at most every 30 s", async () => {
    const server = serve();
    server.refusal = { status: 503, code: "draining" };
    const client = clientOf(server, { backoff: { cap: 1000 } });
    void outcome(client.connect());
    await pass(29_000);
    expect(server.handshakes.length).toBeGreaterThan(30);
    expect(server.fetched.length).toBe(1);
    await pass(3000);
    expect(server.fetched.length).toBe(2);
    expect(server.fetched[0]?.url).toMatch(/^http:\/\/fake\/ws\?/);
  });

  test("the reason is asked with the token, else with credentials, and without where CORS forbids that", async () => {
    const server = serve();
    server.refusal = { status: 503, code: "full" };
    void outcome(clientOf(server, { token: "t" }).connect());
    await pass();
    expect(new Headers(server.fetched[0]?.init?.headers).get("authorization")).toBe("Bearer t");
    const asked: unknown[] = [];
    vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
      asked.push(init.credentials);
      if (init.credentials == "include") throw new TypeError("CORS");
      return server.fetch(url, init);
    });
    const events = record<{ code?: unknown }>(clientOf(server), "reconnecting");
    void outcome(clientOf(server).connect());
    await pass();
    expect(asked).toEqual(["include", "omit"]);
    void events;
  });
});
