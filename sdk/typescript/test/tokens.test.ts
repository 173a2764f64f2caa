// Identity: when a token is asked for, what is done with it, and when the client gives up.
import { describe, expect, test, vi } from "vitest";
import type { FakeServer } from "../src/testing.js";
import { clientOf, outcome, pass, record, sent, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

/** A server that knows tokens `t1`, `t2`, …, each of this life. */
function tokenServer(lifeMs: number): FakeServer {
  const server = serve();
  server.authenticate = (token) =>
    token === undefined ? { status: 401, code: "no_token" } : /^t\d+$/.test(token) ? { user: "alice", lifeMs } : { status: 401, code: token };
  return server;
}
const counter = () => {
  let asked = 0;
  return vi.fn(async () => `t${++asked}`);
};

describe("tokens", () => {
  test("a token goes by the subprotocol", async () => {
    const server = tokenServer(60_000);
    await Promise.all([clientOf(server, { token: "t1" }).connect(), pass()]);
    expect(server.handshakes[0]?.protocols).toEqual(["roomcast.v1.json", "roomcast.token.t1"]);
  });

  test("it is asked for again at 75 to 90 percent of its life, and sent as refresh", async () => {
    const server = tokenServer(100_000);
    const token = counter();
    await Promise.all([clientOf(server, { token }).connect(), pass()]);
    await pass(74_900);
    expect(token).toHaveBeenCalledTimes(1);
    await pass(15_200);
    expect(token).toHaveBeenCalledTimes(2);
    expect(sent(server, "refresh").map(({ token }) => token)).toEqual(["t2"]);
    await pass(90_000);
    expect(sent(server, "refresh").map(({ token }) => token)).toEqual(["t2", "t3"]);
    expect(server.handshakes.length).toBe(1);
  });

  test("its life never goes by the local clock", async () => {
    const server = tokenServer(100_000);
    const token = counter();
    const connecting = clientOf(server, { token }).connect();
    await Promise.all([connecting, pass()]);
    vi.setSystemTime(Date.now() + 3_600_000);
    await pass(70_000);
    expect(token).toHaveBeenCalledTimes(1);
  });

  test("a token that is the same as before is not sent again", async () => {
    const server = tokenServer(100_000);
    const token = vi.fn(() => "t1");
    await Promise.all([clientOf(server, { token }).connect(), pass()]);
    await pass(99_000);
    expect([token.mock.calls.length > 1, sent(server, "refresh")]).toEqual([true, []]);
  });

  test("it is never asked for within a second of the last asking", async () => {
    const server = tokenServer(500);
    const times: number[] = [];
    const token = async () => `t${times.push(performance.now())}`;
    await Promise.all([clientOf(server, { token }).connect(), pass()]);
    await pass(10_000);
    expect(times.length).toBeGreaterThan(5);
    times.slice(1).forEach((time, index) => expect(time - times[index]!).toBeGreaterThanOrEqual(1000));
  });

  test("one asking at a time", async () => {
    const server = tokenServer(10_000);
    let [running, most] = [0, 0];
    const token = async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 9_000));
      running--;
      return "t1";
    };
    void outcome(clientOf(server, { token }).connect());
    await pass(17_000);
    server.disconnect(4100);
    await pass(30_000);
    expect(most).toBe(1);
  });

  test("a callback that rejects is tried again with back-off", async () => {
    const server = tokenServer(100_000);
    let failures = 3;
    const token = async () => {
      if (failures-- > 0) throw new Error("the backend is away");
      return "t1";
    };
    const client = clientOf(server, { token });
    const events = record<{ attempt: number }>(client, "reconnecting");
    const connecting = watchOutcome(client.connect());
    await pass(20_000);
    expect([connecting.now, events.length, server.handshakes.length]).toEqual(["done", 3, 1]);
  });

  test.each([[() => ""], [async () => undefined as never], [""], [undefined as never]])("an option that gives nothing (%s) fails with no_token", async (token) => {
    const server = serve();
    const client = clientOf(server, { token });
    const failed = record<{ code: string }>(client, "failed");
    expect(await Promise.all([outcome(client.connect()), pass(1)])).toContain("no_token");
    expect([failed[0]?.code, client.state, server.handshakes.length]).toEqual(["no_token", "closed", 0]);
  });

  test("a callback's token that has expired is renewed once, then the client fails with expired_token", async () => {
    const server = serve();
    server.authenticate = () => ({ status: 401, code: "expired_token" });
    const token = counter();
    const client = clientOf(server, { token });
    const failed = record<{ code: string }>(client, "failed");
    void outcome(client.connect());
    await pass(5_000);
    expect([failed.map(({ code }) => code), token.mock.calls.length]).toEqual([["expired_token"], 2]);
  });

  test("a string that has expired fails with expired_token at once", async () => {
    const server = serve();
    server.authenticate = () => ({ status: 401, code: "expired_token" });
    const client = clientOf(server, { token: "t1" });
    expect(await Promise.all([outcome(client.connect()), pass()])).toContain("expired_token");
    expect(server.handshakes.length).toBe(1);
  });

  test("a string whose life is over fails at 4100, one that lives on comes back", async () => {
    for (const [afterMs, state] of [
      [90_000, "connected"],
      [99_500, "closed"],
    ] as const) {
      const server = tokenServer(100_000);
      const client = clientOf(server, { token: "t1" });
      const failed = record<{ code: string }>(client, "failed");
      await Promise.all([client.connect(), pass()]);
      await pass(afterMs);
      server.disconnect(4100, "expired");
      await pass(3000);
      expect([client.state, failed.map(({ code }) => code)]).toEqual([state, state == "closed" ? ["expired_token"] : []]);
    }
  });

  test("after 4100 the client comes back with a new token", async () => {
    const server = tokenServer(100_000);
    const client = clientOf(server, { token: counter() });
    await Promise.all([client.connect(), pass()]);
    server.disconnect(4100, "expired");
    await pass(3000);
    expect([client.state, server.handshakes.map(({ token }) => token)]).toEqual(["connected", ["t1", "t2"]]);
  });

  test("a token that is still good is used again after a lost link", async () => {
    const server = tokenServer(100_000);
    const token = counter();
    const client = clientOf(server, { token });
    await Promise.all([client.connect(), pass()]);
    server.disconnect();
    await pass(3000);
    expect([client.state, token.mock.calls.length, server.handshakes.length]).toEqual(["connected", 1, 2]);
  });

  test("a refresh that the node refuses leaves the connection, and another token is asked for", async () => {
    const server = tokenServer(100_000);
    let asked = 0;
    const token = async () => (++asked == 2 ? "bad_token" : `t${asked}`);
    const client = clientOf(server, { token });
    await Promise.all([client.connect(), pass()]);
    await pass(95_000);
    expect([client.state, sent(server, "refresh").map(({ token }) => token)]).toEqual(["connected", ["bad_token", "t3"]]);
  });
});
