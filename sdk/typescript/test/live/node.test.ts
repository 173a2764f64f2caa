// The package as it is built (private names shortened) against a real node, in both encodings. Run
// by `npm run live` with ROOMCAST set to the node's program; skipped without it.
import { spawn, type ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import type { Client, ClientOptions, SocketClass } from "../../src/index.js";

const program = process.env.ROOMCAST;
const secret = randomBytes(16).toString("hex");
const settings = `
[namespaces.default]
presence = "events"
receipts = true
[namespaces.board]
state = true
state_points = 3
[api_keys.test]
sha256 = "${createHash("sha256").update(secret).digest("hex")}"
scopes = "publish read admin"
`;

describe.skipIf(!program)("a real node", () => {
  const sockets = new Set<WebSocket>();
  // Real sockets that a test can cut as a bad network does.
  class Cuttable extends WebSocket {
    constructor(url: string, protocols: string[]) {
      super(url, protocols);
      sockets.add(this);
      this.on("close", () => sockets.delete(this));
    }
  }
  const cut = () => sockets.forEach((socket) => socket.terminate());
  const config = joinPath(mkdtempSync(joinPath(tmpdir(), "roomcast-")), "roomcast.toml");
  const clients: Client[] = [];
  let port = 0;
  let node: ChildProcess;
  let core: { Client: new (url: string, options?: ClientOptions) => Client };
  let msgpack: NonNullable<ClientOptions["encoding"]>;

  async function start(): Promise<void> {
    node = spawn(program ?? "", ["serve", "--config", config, "--listen", `127.0.0.1:${port}`], { stdio: "ignore" });
    await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${port}/ws`)).status).toBe(426), { timeout: 8000, interval: 50 });
  }
  async function stop(signal: NodeJS.Signals): Promise<void> {
    const gone = new Promise((resolve) => node.once("exit", resolve));
    node.kill(signal);
    await gone;
  }
  const client = (user: string, options: ClientOptions = {}) => {
    const made = new core.Client(`ws://127.0.0.1:${port}/ws`, { user, WebSocket: Cuttable as unknown as SocketClass, backoff: { initial: 200 }, ...options });
    clients.push(made);
    return made;
  };
  const post = (path: string, body: unknown) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer test.${secret}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const until = (check: () => void) => vi.waitFor(check, { timeout: 8000, interval: 20 });

  beforeAll(async () => {
    writeFileSync(config, settings);
    core = (await import(new URL("../../dist/index.js", import.meta.url).href)) as typeof core;
    ({ msgpack } = (await import(new URL("../../dist/msgpack.js", import.meta.url).href)) as { msgpack: typeof msgpack });
    port = await new Promise<number>((resolve) => {
      const probe = createServer().listen(0, "127.0.0.1", () => {
        const address = probe.address();
        probe.close(() => resolve(typeof address == "object" && address ? address.port : 0));
      });
    });
    await start();
  });
  afterEach(async () => {
    await Promise.all(clients.splice(0).map((one) => one.close()));
  });
  afterAll(() => stop("SIGKILL"));

  describe.each(["json", "msgpack"])("by %s", (name) => {
    const options = (): ClientOptions => (name == "msgpack" ? { encoding: msgpack } : {});

    test("join, publish, history, bytes", async () => {
      const [alice, bob] = [client("alice", options()).room(`${name}-a`), client("bob").room(`${name}-a`)];
      await Promise.all([alice.join(), bob.join()]);
      const got: unknown[] = [];
      bob.on("message", ({ data, user }) => got.push([user, data]));
      expect(await alice.publish({ text: "hello" })).toMatchObject({ seq: 1 });
      await alice.publish(Uint8Array.of(0, 1, 255));
      await until(() => expect(got).toEqual([["alice", { text: "hello" }], ["alice", Uint8Array.of(0, 1, 255)]]));
      expect((await alice.history({ limit: 1 })).messages).toMatchObject([{ seq: 2, data: Uint8Array.of(0, 1, 255) }]);
      await expect(alice.publish(1, { ifSeq: 1 })).rejects.toMatchObject({ code: "seq_conflict" });
    });

    test("what was missed while the link was cut comes once and in order", async () => {
      const room = client("alice", options()).room(`${name}-b`);
      const [got, events]: [unknown[], string[]] = [[], []];
      room.on("message", ({ data }) => got.push(data));
      await room.join();
      const other = client("bob");
      for (let index = 0; index < 40; index++) {
        if (index % 10 == 5) cut();
        await other.room(`${name}-b`).publish(index);
      }
      await until(() => expect(got).toEqual(Array.from({ length: 40 }, (_, index) => index)));
      expect(events).toEqual([]);
    });

    test("members, typing and signals", async () => {
      const alice = client("alice", options()).room(`${name}-c`, { presence: true, info: { color: "red" } });
      const bob = client("bob", options()).room(`${name}-c`, { presence: true });
      await alice.join();
      await bob.join();
      await until(() => expect([[...alice.members.keys()].sort(), bob.members.get("alice")?.info, bob.count]).toEqual([["alice", "bob"], { color: "red" }, 2]));
      const [typing, signals]: [unknown[], unknown[]] = [[], []];
      bob.on("typing", (event) => typing.push(event));
      bob.on("signal", ({ event, data }) => signals.push([event, data]));
      alice.typing();
      alice.signal("cursor", { x: 1 });
      await until(() => expect([typing, signals]).toEqual([[{ user: "alice", active: true }], [["cursor", { x: 1 }]]]));
      await alice.presence({ status: "away" });
      await until(() => expect(bob.members.get("alice")?.status).toBe("away"));
      await alice.leave();
      await until(() => expect([...bob.members.keys()]).toEqual(["bob"]));
    });

    test("a state room is a map", async () => {
      const [alice, bob] = [client("alice", options()).room(`board:${name}`), client("bob", options()).room(`board:${name}`)];
      await alice.publish({ x: 1 }, { stateKey: "a" });
      await alice.publish({ x: 2 }, { stateKey: "a" });
      await alice.publish(3, { stateKey: "b" });
      await bob.join();
      expect([...bob.state].map(([key, { data, seq }]) => [key, data, seq])).toEqual([["a", { x: 2 }, 2], ["b", 3, 3]]);
      expect(bob.state.get("a")?.points?.map(({ seq }) => seq)).toEqual([1, 2]);
      await alice.publish(null, { stateKey: "a", remove: true });
      await until(() => expect([...bob.state.keys()]).toEqual(["b"]));
      await expect(alice.publish(0, { stateKey: "b", ifKeySeq: { epoch: bob.position?.epoch ?? "", seq: 1 } })).rejects.toMatchObject({ code: "seq_conflict" });
    });

    test("a join means the whole of a state that comes in many parts, and of one that is empty", async () => {
      const [alice, bob] = [client("alice", options()).room(`board:${name}-big`), client("bob", options()).room(`board:${name}-big`)];
      await bob.join();
      expect([bob.state.size, bob.status]).toEqual([0, "joined"]);
      for (let key = 0; key < 30; key++) await alice.publish("x".repeat(8000), { stateKey: `k${key}` });
      await alice.join();
      expect([alice.state.size, alice.position?.seq]).toEqual([30, 30]);
      await until(() => expect(bob.state.size).toBe(30));
    });

    test("a backend writes as a connection, which does not receive it", async () => {
      const one = client("alice", options());
      const [alice, bob] = [one.room(`${name}-as`), client("bob").room(`${name}-as`)];
      const [mine, theirs]: [unknown[], unknown[]] = [[], []];
      alice.on("message", ({ data }) => mine.push(data));
      bob.on("message", ({ data, connection }) => theirs.push([data, connection]));
      await Promise.all([alice.join(), bob.join()]);
      expect(one.connection).toMatch(/^[0-9a-f]{16}$/);
      const path = `/v1/rooms/${name}-as/messages`;
      expect((await post(path, { data: "by the backend", connection: one.connection, echo: false })).status).toBe(200);
      await post(path, { data: "for all" });
      await until(() => expect([mine, theirs.length]).toEqual([["for all"], 2]));
    });

    test("a loop that begins before a join that is refused throws the refusal", async () => {
      const room = client("alice", options()).room("$none");
      const loop = (async () => {
        for await (const _ of room) return "a message";
        return "the end";
      })();
      await expect(room.join()).rejects.toMatchObject({ code: "bad_room" });
      await expect(loop).rejects.toMatchObject({ code: "bad_room" });
    });

    test("notifications of @me are counted, and read on all devices", async () => {
      const user = `carol-${name}`;
      await post(`/v1/users/${user}/messages`, { data: "one" });
      const [phone, desk] = [client(user, options()).room("@me"), client(user, options()).room("@me")];
      const got: unknown[] = [];
      phone.on("message", ({ data }) => got.push(data));
      await Promise.all([phone.join(), desk.join()]);
      await until(() => expect([got, phone.unread, desk.unread]).toEqual([["one"], 1, 1]));
      const reads: unknown[] = [];
      phone.on("read", ({ unread }) => reads.push(unread));
      await post(`/v1/users/${user}/messages`, { data: "two" });
      await until(() => expect([got, phone.unread, desk.unread]).toEqual([["one", "two"], 2, 2]));
      expect(reads).toEqual([2]);
      const at = desk.position ?? { epoch: "", seq: 0 };
      expect(await phone.received(at, true)).toEqual({ received: 2, read: 2, unread: 0 });
      await until(() => expect([desk.unread, desk.read]).toEqual([0, 2]));
    });

    test("an author learns who received a message", async () => {
      const [alice, bob] = [client("alice", options()).room(`${name}-r`), client("bob", options()).room(`${name}-r`)];
      const told: unknown[] = [];
      alice.on("receipts", ({ seq, received, read }) => told.push([seq, received, read]));
      await Promise.all([alice.join(), bob.join()]);
      const at = await alice.publish("read this", { receipts: true });
      await bob.received(at, true);
      await until(() => expect(told.at(-1)).toEqual([1, 1, 1]));
    });
  });

  test("a node that is killed and started again: the client comes back and is told of the reset", async () => {
    const one = client("alice");
    const room = one.room("killed");
    const [got, resets, names]: [unknown[], unknown[], string[]] = [[], [], []];
    room.on("message", ({ data }) => got.push(data));
    room.on("reset", ({ lost }) => resets.push(lost));
    for (const event of ["reconnecting", "reconnected", "resumed"] as const) one.on(event, () => names.push(event));
    await room.join();
    await room.publish("before");
    // An ack and one's own message come in either order.
    await until(() => expect(got).toEqual(["before"]));
    await stop("SIGKILL");
    const queued = room.publish("while it was away");
    expect(one.queued).toBe(1);
    await start();
    await queued;
    await until(() => expect([got, resets, room.status, one.queued]).toEqual([["before", "while it was away"], [1], "joined", 0]));
    expect([names[0], names.at(-1)]).toEqual(["reconnecting", "reconnected"]);
  });

  test("a view of a room that began again has what the room held before the client was back", async () => {
    vi.stubGlobal("document", {});
    const { room: view } = (await import(new URL("../../dist/svelte.js", import.meta.url).href)) as typeof import("../../src/svelte.js");
    let shown: unknown[] = [];
    let gap: unknown;
    const late = client("alice", { backoff: { initial: 3000 } });
    const end = view(late, "viewed", { history: 10 }).subscribe((now) => {
      shown = now.messages.map(({ data }) => data);
      ({ gap } = now);
    });
    const other = client("bob").room("viewed");
    await other.publish("before");
    await until(() => expect(shown).toEqual(["before"]));
    vi.spyOn(Math, "random").mockReturnValue(0.9);
    await stop("SIGKILL");
    await until(() => expect(late.state).toBe("reconnecting"));
    vi.restoreAllMocks();
    await start();
    await other.publish("one");
    await other.publish("two");
    expect(late.state).toBe("reconnecting");
    await until(() => expect(late.state).toBe("connected"));
    await other.publish("three");
    await until(() => expect([shown, gap]).toEqual([["before", "one", "two", "three"], null]));
    end();
    vi.unstubAllGlobals();
  });

  test("a node that drains: the client hears of it and comes back when there is one", async () => {
    const one = client("alice");
    const room = one.room("drained");
    await room.join();
    await stop("SIGTERM");
    await until(() => expect(one.state).toBe("reconnecting"));
    await start();
    await until(() => expect([one.state, room.status]).toEqual(["connected", "joined"]));
  });

  test("the reason of a refused handshake is told", async () => {
    const one = new core.Client(`ws://127.0.0.1:${port}/ws`, { token: "nonsense", WebSocket: Cuttable as unknown as SocketClass });
    await expect(one.connect()).rejects.toMatchObject({ code: "bad_token" });
    expect(one.state).toBe("closed");
  });

  test("10,000 messages at full speed come once and in order", async () => {
    const room = client("alice").room("fast");
    const seqs: number[] = [];
    room.on("message", ({ seq }) => seqs.push(seq));
    await room.join();
    for (let batch = 0; batch < 10; batch++) {
      const items = Array.from({ length: 1000 }, (_, index) => ({ room: "fast", data: index }));
      expect((await post("/v1/batch", { items })).status).toBe(200);
    }
    await until(() => expect(seqs.length).toBe(10_000));
    expect(seqs.every((seq, index) => seq == index + 1)).toBe(true);
  });
});
