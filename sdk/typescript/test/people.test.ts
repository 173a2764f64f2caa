// People: the member list by revision, typing, signals, receipts.
import { describe, expect, test } from "vitest";
import type { Client, Room, RoomOptions } from "../src/index.js";
import { observe } from "../src/observe.js";
import type { FakeRoomOptions, FakeServer } from "../src/testing.js";
import { clientOf, outcome, pass, record, sent, serve, useFakeTime, watchOutcome } from "./support.js";

useFakeTime();

async function join(server: FakeServer, user: string | undefined, options: RoomOptions = { presence: true }): Promise<{ client: Client; room: Room }> {
  const client = clientOf(server, user === undefined ? {} : { user });
  const room = client.room("a", options);
  await Promise.all([room.join(), pass()]);
  await pass(1);
  return { client, room };
}
const people: FakeRoomOptions = { presence: true };
const names = (room: Room) => [...room.members.keys()].sort();

describe("members", () => {
  test("the list is asked for after the first joined, and kept by events", async () => {
    const server = serve(people);
    await join(server, "bob", { info: { color: "red" } });
    const { room } = await join(server, "alice");
    expect([names(room), room.count, room.users]).toEqual([["alice", "bob"], 2, 2]);
    expect(room.members.get("bob")).toEqual({ user: "bob", info: { color: "red" }, status: "active" });
    const before = room.members;
    const changes = record(room, "presence");
    const carol = await join(server, "carol", {});
    expect([names(room), room.count, changes.length, [...before.keys()].length]).toEqual([["alice", "bob", "carol"], 3, 1, 2]);
    await carol.client.close();
    await pass();
    expect([names(room), room.users]).toEqual([["alice", "bob"], 2]);
  });

  test("connections without a user only count", async () => {
    const server = serve(people);
    await join(server, undefined, {});
    const { room } = await join(server, "alice");
    expect([names(room), room.count, room.users]).toEqual([["alice"], 2, 1]);
  });

  test("a client that comes back and finds the revision again keeps its list", async () => {
    const server = serve(people);
    await join(server, "bob", {});
    const { room } = await join(server, "alice");
    const { rev } = server.room("a");
    server.intercept = (socket, frame) => {
      if (frame.type == "join") server.room("a").rev = rev - 1;
      return false;
    };
    server.sockets[1]?.end();
    await pass(2000);
    expect([room.status, names(room), sent(server, "members").length]).toEqual(["joined", ["alice", "bob"], 1]);
  });

  test("after a joined with another revision the list is asked for again", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice");
    server.disconnect();
    await join(server, "bob", {});
    await pass(2000);
    expect([names(room), sent(server, "members").length]).toEqual([["alice", "bob"], 2]);
  });

  test("a list older than what is known is completed by later changes, and asked for again", async () => {
    const server = serve(people);
    const old = { type: "members", room: "a", members: [{ user: "zoe" }], count: 1, users: 1, rev: 4, rev_epoch: "00000000000000a1" };
    let answers = 0;
    server.room("a").rev = 9;
    server.intercept = (socket, frame) => {
      if (frame.type != "members" || answers++) return false;
      socket.give({ type: "user_joined", room: "a", user: "bob", time: 1, count: 3, users: 3, rev: 11 });
      socket.give({ ...old, id: frame.id });
      return true;
    };
    const { room } = await join(server, "alice");
    expect(names(room)).toEqual(["bob", "zoe"]);
    await pass(1000);
    expect([answers, names(room)]).toEqual([2, ["alice", "bob"]]);
  });

  test("changes are compared by greater: old ones are dropped", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice");
    const give = (frame: object) => server.socket.give({ room: "a", time: 1, ...frame } as never);
    give({ type: "user_joined", user: "bob", count: 2, users: 2, rev: 7 });
    give({ type: "user_left", user: "alice", count: 0, users: 0, rev: 6 });
    give({ type: "presence", user: "bob", status: "away", info: null, rev: 9 });
    await pass();
    expect([names(room), room.count, room.members.get("bob")]).toEqual([["alice", "bob"], 2, { user: "bob", status: "away", info: null }]);
  });

  test("a count ends the list unless it says that only numbers changed", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice");
    server.socket.give({ type: "count", room: "a", count: 5, users: 4, rev: 8, list: true });
    await pass();
    expect([names(room), room.count, room.users]).toEqual([["alice"], 5, 4]);
    server.socket.give({ type: "count", room: "a", count: 6, users: 4, rev: 8 });
    await pass();
    expect([names(room), room.count]).toEqual([["alice"], 6]);
    server.socket.give({ type: "count", room: "a", count: 9, users: 9, rev: 7 });
    server.socket.give({ type: "count", room: "a", count: 15_000, users: 12_000, rev: 9 });
    await pass();
    expect([names(room), room.count, room.users]).toEqual([[], 15_000, 12_000]);
  });

  test("after presence_reset the list is asked for again at the time it names", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice");
    server.room("a").rev = 2;
    server.room("a").revEpoch = "00000000000000a2";
    server.socket.give({ type: "presence_reset", room: "a", after_ms: 2500 });
    await pass(2400);
    expect(sent(server, "members").length).toBe(1);
    await pass(200);
    expect([sent(server, "members").length, names(room)]).toEqual([2, ["alice"]]);
    await join(server, "bob", {});
    expect(names(room)).toEqual(["alice", "bob"]);
  });

  test("all pages are read, and a page that came too late begins again", async () => {
    const server = serve(people);
    let late = true;
    server.intercept = (socket, frame) => {
      if (frame.type != "members") return false;
      const page = { type: "members", id: frame.id, room: "a", count: 2, users: 2, rev: 1, rev_epoch: "00000000000000a1" };
      if (!frame.page) socket.give({ ...page, members: [{ user: "alice" }], more: "p2" });
      else if (late) socket.give({ type: "error", id: frame.id, room: "a", code: "bad_frame", message: "page" });
      else socket.give({ ...page, members: [{ user: "bob" }] });
      if (frame.page) late = false;
      return true;
    };
    const { room } = await join(server, "alice");
    await pass(1100);
    expect([names(room), sent(server, "members").length]).toEqual([["alice", "bob"], 4]);
  });

  test("what is shown is said again after a reconnect", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice", { presence: true, info: 1 });
    void room.presence({ info: { mood: "busy" }, status: "away" });
    await pass();
    server.disconnect();
    await pass(2000);
    expect(sent(server, "join").at(-1)?.info).toEqual({ mood: "busy" });
    expect(sent(server, "presence").at(-1)).toMatchObject({ status: "away" });
  });

  test("null is a value of info, said again after a reconnect too; a membership begins with the options", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice", { presence: true, info: 1 });
    void room.presence({ info: null, status: "away" });
    await pass();
    server.disconnect();
    await pass(2000);
    expect(sent(server, "join").at(-1)?.info).toBe(null);
    await Promise.all([room.leave(), pass()]);
    await Promise.all([room.join(), pass()]);
    expect([sent(server, "join").at(-1)?.info, sent(server, "presence").length]).toEqual([1, 2]);
  });

  test("away shows in the list and in changes, if all connections of the user are", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice");
    const phone = await join(server, "bob", {});
    const desk = await join(server, "bob", {});
    const status = () => room.members.get("bob")?.status;
    void phone.room.presence({ status: "away" });
    await pass();
    expect(status()).toBe("active");
    void desk.room.presence({ status: "away" });
    await pass();
    expect(status()).toBe("away");
    const late = await join(server, "carol");
    expect(late.room.members.get("bob")?.status).toBe("away");
  });

  test("list gives a page with the frame's fields", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice");
    const page = watchOutcome(room.list());
    await pass();
    expect(page.now).toMatchObject({ room: "a", count: 1, users: 1, members: [{ user: "alice" }] });
    expect(page.now).not.toHaveProperty("type");
  });
});

describe("typing and signals", () => {
  test("typing is told with user and active, and is cleared by itself when the link is lost", async () => {
    const server = serve();
    const { room } = await join(server, "alice", {});
    const typing = record(room, "typing");
    server.socket.give({ type: "typing", room: "a", user: "bob", active: true });
    await pass();
    server.disconnect();
    await pass();
    expect(typing).toEqual([{ user: "bob", active: true }, { user: "bob", active: false }]);
  });

  test("a user who leaves, or whose message comes, types no more", async () => {
    const server = serve(people);
    const { room } = await join(server, "alice");
    const typing = record(room, "typing");
    const give = (frame: object) => server.socket.give({ room: "a", ...frame } as never);
    give({ type: "typing", user: "bob", active: true });
    give({ type: "typing", user: "carol", active: true });
    give({ type: "typing", connection: "00000000000000cc", active: true });
    give({ type: "message", seq: 1, time: 1, user: "bob", connection: "00000000000000bb", data: 1 });
    give({ type: "message", seq: 2, time: 1, connection: "00000000000000cc", data: 1 });
    give({ type: "user_left", user: "carol", time: 1, count: 1, users: 1, rev: 9 });
    // What the node says later of the same is nothing new.
    give({ type: "typing", user: "bob", active: false });
    await pass();
    expect(typing.slice(3)).toEqual([
      { user: "bob", active: false },
      { connection: "00000000000000cc", active: false },
      { user: "carol", active: false },
    ]);
  });

  test("the client says that the user types, and that it ends", async () => {
    const server = serve();
    const { room } = await join(server, "alice", {});
    const bob = await join(server, "bob", {});
    const typing = record(bob.room, "typing");
    room.typing();
    room.typing();
    room.typing(false);
    await pass();
    expect(sent(server, "typing").map(({ active }) => active)).toEqual([true, true, false]);
    expect(typing).toEqual([{ user: "alice", active: true }, { user: "alice", active: false }]);
    room.typing();
    await pass(2900);
    expect(typing.length).toBe(3);
    await pass(200);
    expect(typing[3]).toEqual({ user: "alice", active: false });
  });

  test("signals reach the others, and are dropped offline like typing", async () => {
    const server = serve();
    const { room } = await join(server, "alice", {});
    const bob = await join(server, "bob", {});
    const signals = record(bob.room, "signal");
    room.signal("cursor", { x: 1 });
    await pass();
    expect(signals).toEqual([{ room: "a", user: "alice", connection: expect.any(String), event: "cursor", data: { x: 1 } }]);
    server.disconnect();
    room.signal("cursor", { x: 2 });
    room.typing();
    await pass(3000);
    expect([sent(server, "signal").length, sent(server, "typing").length]).toEqual([1, 0]);
  });
});

describe("receipts", () => {
  const receipts: FakeRoomOptions = { receipts: true };

  test("received, read and unread come with joined, rise with messages and follow confirmations", async () => {
    const server = serve(receipts);
    server.room("a").publish(1);
    server.room("a").publish(2);
    server.room("a").marks.set("alice", { received: 1, read: 1 });
    const { room } = await join(server, "alice", {});
    await pass();
    expect([room.read, room.unread]).toEqual([1, 1]);
    server.room("a").publish(3);
    await pass();
    expect(room.unread).toBe(2);
    const reads = record(room, "read");
    // A message says where it is.
    const [last] = (await Promise.all([room.history({ limit: 1 }), pass()]))[0].messages;
    const read = watchOutcome(room.received({ ...last!, room: "a", epoch: server.room("a").epoch }, true));
    await pass();
    expect([read.now, room.unread, reads]).toEqual([{ received: 3, read: 3, unread: 0 }, 0, [{ received: 3, read: 3, unread: 0 }]]);
  });

  test("a message that raises unread is told as read, and one that does not is not", async () => {
    const server = serve(receipts);
    const { room } = await join(server, "alice", {});
    const reads = record(room, "read");
    server.room("a").publish(1);
    await pass();
    expect(reads).toEqual([{ received: 0, read: 0, unread: 1 }]);
    // Numbers that are left out count too, as the node counts them.
    server.room("a").gap(2);
    server.room("a").publish(4);
    await pass();
    expect([reads.at(-1), room.unread]).toEqual([{ received: 0, read: 0, unread: 4 }, 4]);
  });

  test("a message of a room without receipts tells nothing", async () => {
    const server = serve();
    const { room } = await join(server, "alice", {});
    const reads = record(room, "read");
    server.room("a").publish(1);
    await pass();
    expect([reads, room.unread]).toEqual([[], 0]);
  });

  test("after a reset the numbers are those of the new epoch, and rise again", async () => {
    const server = serve(receipts);
    const { room } = await join(server, "alice", {});
    for (const data of [1, 2, 3]) server.room("a").publish(data);
    void room.received({ epoch: server.room("a").epoch, seq: 3 }, true);
    await pass();
    server.room("a").reset(2);
    await pass();
    expect([room.read, room.unread]).toEqual([1, 0]);
    server.room("a").publish("other");
    await pass();
    expect(room.unread).toBe(1);
  });

  test("a confirmation on another device is told", async () => {
    const server = serve(receipts);
    server.room("a").publish(1);
    const phone = await join(server, "alice", { history: 1 });
    const desk = await join(server, "alice", { history: 1 });
    expect(desk.room.unread).toBe(1);
    void phone.room.received({ epoch: server.room("a").epoch, seq: 1 }, true);
    await pass();
    expect([desk.room.unread, desk.room.read]).toEqual([0, 1]);
  });

  test("a confirmation waits for the membership, and needs one", async () => {
    const server = serve(receipts);
    const { room } = await join(server, "alice", {});
    server.room("a").publish(1);
    await pass();
    server.disconnect();
    const confirmed = watchOutcome(room.received({ epoch: server.room("a").epoch, seq: 1 }));
    await pass(2000);
    expect(confirmed.now).toEqual({ received: 1, read: 0, unread: 1 });
    await Promise.all([room.leave(), pass()]);
    expect(await outcome(room.received({ epoch: "x", seq: 1 }))).toBe("not_joined");
  });

  test("receipts of one's own messages are told, to authors that are no members too", async () => {
    const server = serve(receipts);
    const author = clientOf(server, { user: "alice" }).room("a");
    const told = record(author, "receipts");
    void author.publish("read this", { receipts: true });
    await pass();
    const { room } = await join(server, "bob", {});
    const at = { room: "a", epoch: server.room("a").epoch, seq: 1 };
    void room.received(at);
    await pass();
    void room.received(at, true);
    await pass();
    expect(told).toEqual([{ ...at, received: 1, read: 0 }, { ...at, received: 1, read: 1 }]);
  });
});

describe("reading", () => {
  test("history gives the frame's fields, waits for a connection and is asked again after a refusal that passes", async () => {
    const server = serve();
    server.room("a").publish(1);
    let refusals = 1;
    server.intercept = (socket, { type, id }) => {
      if (type != "history" || refusals-- <= 0) return false;
      socket.give({ type: "error", id, room: "a", code: "rate_limited", message: "", retry_after_ms: 500 });
      return true;
    };
    const history = watchOutcome(clientOf(server).room("a").history({ limit: 5 }));
    await pass(600);
    expect(history.now).toEqual({ room: "a", epoch: server.room("a").epoch, messages: [expect.objectContaining({ seq: 1 })], more: false });
  });

  test("bindings learn of every change", async () => {
    const server = serve({ state: true });
    const client = clientOf(server);
    const room = client.room("a");
    let [rooms, clients] = [0, 0];
    const end = observe(room, () => rooms++);
    observe(client, () => clients++);
    await Promise.all([room.join(), pass()]);
    const before = rooms;
    expect([before > 0, clients > 0]).toEqual([true, true]);
    server.room("a").publish(1, { state_key: "x" });
    await pass();
    expect(rooms).toBeGreaterThan(before);
    end();
    const after = rooms;
    server.room("a").publish(1, { state_key: "x" });
    await pass();
    expect(rooms).toBe(after);
  });
});
