// Noticing a dead link, and planned moves from one to the next.
import { describe, expect, test, vi } from "vitest";
import { clientOf, outcome, pass, record, sent, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

describe("noticing", () => {
  test("after a silent heartbeat the client pings, and an answer keeps the socket", async () => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.connect(), pass()]));
    await pass(24_900);
    expect(sent(server, "ping").length).toBe(0);
    await pass(200);
    expect(sent(server, "ping").length).toBe(1);
    await pass(120_000);
    expect([server.handshakes.length, sent(server, "ping").length]).toEqual([1, 5]);
  });

  test("a class of sockets may answer before send returns", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    await outcome(Promise.all([room.join(), pass()]));
    const { socket } = server;
    const answer = (frame: object) => socket.onmessage?.({ data: JSON.stringify(frame) } as never);
    socket.send = (data) => {
      const { type, id } = JSON.parse(String(data)) as { type: string; id: number };
      if (type == "ping") answer({ type: "pong", time: 0 });
      if (type == "leave") answer({ type: "left", id, room: "a" });
    };
    await pass(60_000);
    expect(server.handshakes.length).toBe(1);
    const left = watchOutcome(room.leave());
    await pass();
    expect(left.now).toBe("done");
  });

  test("frames that are none throw nothing at the socket", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    await outcome(Promise.all([room.join(), pass()]));
    const give = (data: string) => server.socket.onmessage?.({ data } as never);
    for (const text of ["{", "null", "[]", '{"type":5}', '{"type":"state","room":"a","entries":5}', '{"type":"state","room":"a","entries":[null]}', '{"type":"connected"}']) {
      expect(() => give(text), text).not.toThrow();
    }
  });

  test("in a black hole the socket is dropped 10 s after the ping, and another is opened", async () => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.connect(), pass()]));
    const hole = server.socket;
    hole.isSilent = true;
    await pass(34_900);
    expect([client.state, server.handshakes.length]).toEqual(["connected", 1]);
    await pass(1500);
    expect([client.state, server.handshakes.length, hole.readyState]).toEqual(["connected", 2, 3]);
  });

  test("frames that go on coming keep a socket whose pong is late", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    await outcome(Promise.all([room.join(), pass()]));
    server.intercept = (_, { type }) => type == "ping";
    await pass(26_000);
    for (let second = 0; second < 60; second++) {
      server.room("a").publish(second);
      await pass(1000);
    }
    expect(server.handshakes.length).toBe(1);
    await pass(25_000);
    expect(server.handshakes.length).toBeGreaterThan(1);
  });

  test.each(["online", "pageshow", "visibilitychange"])("at %s an open socket is asked at once", async (name) => {
    const target = new EventTarget();
    vi.stubGlobal("addEventListener", target.addEventListener.bind(target));
    vi.stubGlobal("document", Object.assign(target, { hidden: false }));
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.connect(), pass()]));
    server.socket.isSilent = true;
    target.dispatchEvent(new Event(name));
    await pass(9_900);
    expect(server.handshakes.length).toBe(1);
    await pass(1000);
    expect([server.handshakes.length, client.state]).toEqual([2, "connected"]);
    await client.close();
    target.dispatchEvent(new Event(name));
    await pass(60_000);
    expect(server.handshakes.length).toBe(2);
  });
});

describe("planned moves", () => {
  test("another socket is opened after the node's delay, the old one goes when all is there", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    const states: string[] = [];
    client.on("reconnecting", () => states.push("reconnecting"));
    client.on("reconnected", () => states.push("reconnected"));
    await outcome(Promise.all([room.join(), pass()]));
    const old = server.socket;
    server.reconnect(1500);
    await pass(1400);
    expect(server.handshakes.length).toBe(1);
    await pass(200);
    expect([server.handshakes.length, old.readyState, server.socket.readyState]).toEqual([2, 3, 1]);
    expect([client.state, room.status, states]).toEqual(["connected", "joined", []]);
  });

  test("during a move every message comes once and in order", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    const seqs: number[] = [];
    room.on("message", ({ seq }) => seqs.push(seq));
    await outcome(Promise.all([room.join(), pass()]));
    server.room("a").publish(1);
    let held: (() => void) | undefined;
    const answer = server.intercept;
    server.intercept = (socket, frame) => {
      if (frame.type != "join" || held) return false;
      // The new socket's join waits: what is published now comes on the old one, and again later.
      held = () => {
        server.intercept = answer;
        server.received(socket, frame);
      };
      return true;
    };
    server.reconnect(0);
    await pass(10);
    server.room("a").publish(2);
    await pass(10);
    expect(seqs).toEqual([1, 2]);
    held?.();
    await pass(10);
    server.room("a").publish(3);
    await pass(10);
    expect([seqs, server.sockets.length]).toEqual([[1, 2, 3], 1]);
  });

  test("the old socket stays until its own requests are answered, at most five seconds", async () => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.connect(), pass()]));
    const old = server.socket;
    server.intercept = (socket, { type }) => socket == old && type == "publish";
    const published = watchOutcome(client.room("a").publish(1));
    await pass(10);
    server.reconnect(0);
    await pass(4_900);
    expect([old.readyState, published.now]).toEqual([1, undefined]);
    await pass(200);
    expect(old.readyState).toBe(3);
    expect(published.now).toMatchObject({ seq: 1 });
    expect(sent(server, "publish").map(({ key }) => key)).toHaveLength(2);
    expect(new Set(sent(server, "publish").map(({ key }) => key)).size).toBe(1);
  });

  test("what is published during a move waits for the new socket, and call order holds", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    await outcome(Promise.all([room.join(), pass()]));
    const old = server.socket;
    let held: (() => void) | undefined;
    server.intercept = (socket, frame) => {
      if (frame.type != "join" || held) return false;
      held = () => server.received(socket, frame);
      return true;
    };
    server.reconnect(0);
    await pass(10);
    const published = [watchOutcome(room.publish(1)), watchOutcome(room.publish(2))];
    await pass(100);
    expect([published[0]?.now, old.received.filter(({ type }) => type == "publish")]).toEqual([undefined, []]);
    held?.();
    await pass(10);
    expect(published.map(({ now }) => (now as { seq: number }).seq)).toEqual([1, 2]);
    expect([old.readyState, server.room("a").log.map(({ data }) => data)]).toEqual([3, [1, 2]]);
  });

  test("4503 on the old socket of a move is no failure", async () => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.room("a").join(), pass()]));
    const old = server.socket;
    const failed = record(client, "failed");
    server.isHanging = true;
    server.reconnect(0);
    await pass(10);
    server.isHanging = false;
    old.end(4503, "replaced");
    server.opened(server.handshakes[1]!);
    await pass(100);
    expect([failed.length, client.state, client.room("a").status]).toEqual([0, "connected", "joined"]);
  });

  test("a move that finds no node is tried again, and the old socket goes on", async () => {
    const server = serve();
    const client = clientOf(server);
    const room = client.room("a");
    const seqs: number[] = [];
    room.on("message", ({ seq }) => seqs.push(seq));
    await outcome(Promise.all([room.join(), pass()]));
    server.refusal = "away";
    server.reconnect(0);
    await pass(300);
    server.room("a").publish(1);
    await pass(10);
    expect([client.state, seqs]).toEqual(["connected", [1]]);
    server.refusal = undefined;
    await pass(5000);
    expect([server.sockets.length, server.handshakes.length >= 3]).toEqual([1, true]);
  });

  test("if the old socket ends before the new one is there, the new one is the next attempt", async () => {
    const server = serve();
    const client = clientOf(server);
    await outcome(Promise.all([client.room("a").join(), pass()]));
    server.isHanging = true;
    server.reconnect(0);
    await pass(10);
    server.disconnect(1012);
    await pass(10);
    expect([client.state, client.room("a").status]).toEqual(["reconnecting", "resuming"]);
    server.isHanging = false;
    server.opened(server.handshakes[1]!);
    await pass(10);
    expect([client.state, client.room("a").status, server.handshakes.length]).toEqual(["connected", "joined", 2]);
  });
});
