// The page on the SDK's fake server: what somebody sees who writes, is offline, is renamed or notified.
import { act } from "react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { all, begin, end, one, open, page, press, root, seqs, server, storage, text, type, wait, write } from "./support";

beforeEach(begin);
afterEach(end);

it("joins the lobby under the name of the address and shows who is there", () => {
  expect([text("status"), (one("name") as HTMLInputElement).value, (one("room") as HTMLInputElement).value]).toEqual(["connected", "ann", "demo:lobby"]);
  expect(text("members")).toContain("ann");
  expect([text("queue"), text("bell"), text("typing")]).toEqual(["0 queued", "0", ""]);
});

it("takes a name by its button too, forgets it when the field is left, and keeps the draft", async () => {
  type("input", "half a word");
  type("name", "anna");
  act(() => one("name").dispatchEvent(new FocusEvent("focusout", { bubbles: true, relatedTarget: one("input") })));
  expect((one("name") as HTMLInputElement).value).toBe("ann");
  type("name", "anna");
  press("Rename");
  await wait(1_000);
  expect([text("members"), document.activeElement, (one("input") as HTMLInputElement).value]).toEqual([expect.stringContaining("anna"), one("name"), "half a word"]);
});

it("makes up a name at a first visit and keeps it for the tab", async () => {
  act(() => root.unmount());
  storage.clear();
  await open("http://127.0.0.1:8080/");
  const { value: name } = one("name") as HTMLInputElement;
  expect([name, storage.get("roomcast-name")]).toEqual([expect.stringMatching(/^\w+-\w+-\d\d$/), name]);
});

it("works without a place for the name, and with one that holds no name", async () => {
  act(() => root.unmount());
  storage.clear();
  vi.spyOn(storage, "set").mockImplementation(() => {
    throw new DOMException("full", "QuotaExceededError");
  });
  await open("http://127.0.0.1:8080/");
  expect(text("status")).toContain("connected");
  vi.restoreAllMocks();
  act(() => root.unmount());
  storage.set("roomcast-name", " two words\u0000");
  await open("http://127.0.0.1:8080/");
  expect((one("name") as HTMLInputElement).value).toBe("two-words");
});

it("shows an own message as sent, then as read by others", async () => {
  await write("input", "hello");
  expect([seqs(), one("message").textContent]).toEqual([[1], expect.stringContaining("hello")]);
  expect(one("message").textContent).toContain("sent");
  const { epoch } = server.room("demo:lobby");
  server.room("demo:lobby").tell({ type: "receipts", epoch, seq: 1, received: 3, read: 2 });
  await wait();
  expect(one("message").textContent).toContain("read by 1");
});

it("publishes without receipts where the namespace has none", async () => {
  server.intercept = (socket, { type, id, room, receipts }) => {
    if (type !== "publish" || !receipts) return false;
    socket.give({ type: "error", id, room, code: "unsupported", message: "no receipts" });
    return true;
  };
  await write("input", "one");
  await write("input", "two");
  expect(all("message").map((row) => /one|two/u.exec(row.textContent ?? "")?.[0])).toEqual(["one", "two"]);
  expect(server.socket.received.filter(({ receipts }) => receipts === true).length).toBe(1);
});

it("says why a message was refused, and drops it when told to", async () => {
  server.intercept = (socket, { type, id, room }) => {
    if (type === "publish") socket.give({ type: "error", id, room, code: "too_large", message: "too large" });
    return type === "publish";
  };
  await write("input", "much");
  expect([seqs(), text("messages")]).toEqual([[], expect.stringContaining("not sent: too_large")]);
  press("Discard");
  expect(text("messages")).not.toContain("much");
});

it("counts down while the node is away, queues, and sends in order when it is back", async () => {
  server.refusal = "away";
  server.disconnect();
  await wait(1);
  expect(text("status")).toMatch(/^reconnecting in \d+ s$/);
  await write("input", "first");
  await write("input", "second");
  expect(text("queue")).toBe("2 queued");
  expect(page.querySelector(".dashboard")?.textContent).toContain("stopped while offline");
  expect([seqs(), text("messages")]).toEqual([[], expect.stringContaining("queued until connected")]);
  server.refusal = undefined;
  await wait(35_000);
  expect([text("queue"), seqs(), text("status")]).toEqual(["0 queued", [1, 2], expect.stringMatching(/^connected/)]);
  expect(all("message").map((row) => /first|second/u.exec(row.textContent ?? "")?.[0])).toEqual(["first", "second"]);
});

it.each([0, 3])("says resumed for a while after a break without a hole; %i figures left out are none", async (count) => {
  server.disconnect();
  server.room("board:nodes").gap(count);
  await wait(2_000);
  expect(text("status")).toBe("connected · resumed");
  await wait(11_000);
  expect(text("status")).toBe("connected");
});

it("never says resumed before a gap that comes late", async () => {
  server.room("demo:lobby").publish("before");
  await wait();
  server.intercept = (socket, { type, id, room, since }) => {
    if (type !== "join" || room !== "demo:lobby" || !since) return false;
    const { epoch, seq } = server.room(room);
    socket.give({ type: "joined", id, room, epoch, seq, recovered: false });
    setTimeout(() => socket.give({ type: "gap", room, from: 2, to: 9 }), 150);
    return true;
  };
  server.disconnect();
  server.room("board:nodes").gap(3);
  const said = new Set<string>();
  for (let ms = 0; ms < 3_000; ms += 10) {
    await wait(10);
    said.add(text("status").replace(/\d+/u, "N"));
  }
  expect([...said].filter((status) => !status.startsWith("reconnecting"))).toEqual(["resuming", "connected · gap"]);
});

it("says gap, and which messages are missing, where they are", async () => {
  server.room("demo:lobby").publish("before");
  server.room("demo:lobby").gap(3);
  server.room("demo:lobby").publish("after");
  await wait();
  expect(text("status")).toBe("connected · gap");
  expect([seqs(), text("messages")]).toEqual([[1, 5], expect.stringMatching(/before.*Messages 2 to 4 are missing.*after/u)]);
});

it("does not stay at resuming when a room began again", async () => {
  server.room("demo:lobby").publish("lost");
  await wait();
  server.disconnect();
  server.room("demo:lobby").reset(1);
  server.room("demo:lobby").publish("held already");
  await wait(3_000);
  expect([text("status"), text("messages")]).toEqual(["connected · gap", expect.stringMatching(/lost.*the last message above did not survive.*held already/u)]);
});

it("keeps the newest messages of a flood, without holes", async () => {
  for (let count = 0; count < 2_000; count++) server.room("demo:lobby").publish({ text: `n ${count}` }); // rows come back by drawings
  for (let drawings = 0; drawings < 30; drawings++) await wait(40);
  const shown = seqs();
  expect([shown.length, shown.at(-1)]).toEqual([500, 2_000]);
  expect(shown.every((seq, at) => at === 0 || seq === (shown[at - 1] ?? 0) + 1)).toBe(true);
});

it("goes to another room and leaves the old one", async () => {
  server.room("demo:other").publish("of the other");
  await write("room", "demo:other");
  expect([text("messages"), server.room("demo:lobby").members.size]).toEqual([expect.stringContaining("of the other"), 0]);
});

it("keeps what was not sent of each room, and the browser's way back leads to the room before", async () => {
  type("input", "half a word");
  await write("room", "demo:other");
  expect([(one("input") as HTMLInputElement).value, location.search]).toEqual(["", expect.stringContaining("room=demo:other")]);
  act(() => {
    history.replaceState(null, "", "?room=demo:lobby");
    dispatchEvent(new PopStateEvent("popstate"));
  });
  await wait();
  expect([(one("room") as HTMLInputElement).value, (one("input") as HTMLInputElement).value]).toEqual(["demo:lobby", "half a word"]);
});

it("comes under another name, and the old one has left", async () => {
  await write("name", "Ann Lee");
  await wait(1_000);
  expect([text("members"), server.sockets.map(({ user }) => user)]).toEqual([expect.stringContaining("Ann-Lee"), ["Ann-Lee"]]);
  expect(text("members")).not.toMatch(/ann(?!-)/u);
});

it("keeps what was not sent when one takes another name offline", async () => {
  server.refusal = "away";
  server.disconnect();
  await wait(1);
  await write("input", "unsent");
  await write("name", "anna");
  expect(text("messages")).toMatch(/unsent.*not sent: closed/u);
  server.refusal = undefined;
  await wait(35_000);
  press("Try again");
  await wait();
  expect([seqs(), server.room("demo:lobby").log.map(({ user }) => user)]).toEqual([[1], ["anna"]]);
});

it("says who is typing, and tells others of oneself", async () => {
  server.room("demo:lobby").tell({ type: "typing", user: "bob", active: true });
  await wait();
  expect(text("typing")).toBe("bob is typing");
  await write("input", "x");
  expect(server.socket.received.filter(({ type }) => type === "typing").map(({ active }) => active !== false)).toEqual([true, false]);
});

it("shows others' pointers, and takes away those that left", async () => {
  const move = (user: string, data: unknown) =>
    server.room("demo:lobby").tell({ type: "signal", user, connection: `c-${user}`, event: "cursor", data });
  move("bob", { x: 0.5, y: 0.25 });
  move("eve", { x: 2, y: "no" });
  await wait();
  const cursors = () => [...page.querySelectorAll<HTMLElement>(".cursor")].map((one) => [one.textContent, one.style.getPropertyValue("--x")]);
  expect(cursors()).toEqual([["bob", "0.5"]]);
  move("bob", null);
  await wait();
  expect(cursors()).toEqual([]);
  move("bob", { x: 0.5, y: 0.25 });
  await wait(6_000);
  expect(cursors()).toEqual([]);
});

it("counts notifications and marks them as read for all devices", async () => {
  server.room("@me").publish({ text: "Shipped" });
  server.room("@me").publish({ text: "Delivered" });
  await wait();
  expect([text("bell"), page.textContent]).toEqual(["2", expect.stringContaining("Delivered")]);
  press("Mark all as read");
  await wait();
  expect([text("bell"), server.room("@me").marks.get("ann")]).toEqual(["0", { received: 2, read: 2 }]);
});

it("shows the line that notifies this user, with the node's key", () => {
  expect(text("curl")).toContain("curl 'http://127.0.0.1:8080/v1/users/ann/messages' -H 'Authorization: Bearer demo.secret'");
});

it("stops with the reason, and tries again when asked to", async () => {
  server.disconnect(4501, "banned");
  await wait();
  expect(text("status")).toBe("stopped: banned");
  press("Try again");
  await wait(1_000);
  expect(text("status")).toBe("connected");
});

it("shows the nodes' figures with their level", async () => {
  server.room("board:nodes").publish({ users: 1234, response_ms: 612.34 }, { state_key: "node-1" });
  await wait();
  const tiles = [...page.querySelectorAll(".tile")].map((tile) => [tile.getAttribute("data-level"), tile.textContent]);
  expect(tiles[0]).toEqual(["normal", "Active users1,234"]);
  expect(tiles[2]).toEqual(["critical", "Response time critical612.3 ms"]);
  expect(tiles[4]).toEqual(["normal", "CPU– %"]);
});
