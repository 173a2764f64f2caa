// The page on the SDK's fake server: what somebody sees who writes, is offline, is renamed or notified.
import { act } from "react";
import { createRoot } from "react-dom/client";
import type { Root } from "react-dom/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { FakeServer } from "../../typescript/src/testing";
import { Sessions } from "../src/session";
import { readSettings } from "../src/settings";
import { App } from "../src/ui/App";

let server: FakeServer;
let root: Root;
let page: HTMLElement;
const storage = new Map<string, string>();

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("IS_REACT_ACT_ENVIRONMENT", true);
  server = new FakeServer({ room: (name) => (name.startsWith("board:") ? { state: true } : { presence: true, receipts: true }) });
  vi.stubGlobal("WebSocket", server.WebSocket);
  vi.stubGlobal("fetch", server.fetch);
  storage.clear();
  await open("http://127.0.0.1:8080/?user=ann");
});
afterEach(async () => {
  act(() => root.unmount());
  await wait(1_000);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const wait = (ms = 100) => act(() => vi.advanceTimersByTimeAsync(ms));

async function open(address: string): Promise<void> {
  page = document.createElement("div");
  document.body.replaceChildren(page);
  const settings = readSettings(new URL(address), "demo.secret");
  const kept = { getItem: (key: string) => storage.get(key) ?? null, setItem: (key: string, value: string) => void storage.set(key, value) };
  const sessions = new Sessions(settings, kept);
  root = createRoot(page);
  act(() => root.render(<App settings={settings} sessions={sessions} />));
  await wait(200);
}
const all = (id: string) => [...page.querySelectorAll<HTMLElement>(`[data-testid=${id}]`)];
function one(id: string): HTMLElement {
  const found = all(id);
  if (found.length !== 1 || !found[0]) throw new Error(`${found.length} elements ${id}`);
  return found[0];
}
const text = (id: string) => one(id).textContent;
const seqs = () => all("message").map(({ dataset }) => Number(dataset["seq"]));

async function write(id: string, value: string): Promise<void> {
  const field = one(id) as HTMLInputElement;
  const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value")?.set;
  act(() => {
    field.focus();
    set?.call(field, value);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  act(() => {
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    if (field.form) field.form.requestSubmit();
  });
  await wait();
}

it("joins the lobby under the name of the address and shows who is there", () => {
  expect([text("status"), (one("name") as HTMLInputElement).value, (one("room") as HTMLInputElement).value]).toEqual(["connected", "ann", "demo:lobby"]);
  expect(text("members")).toContain("ann");
  expect([text("queue"), text("bell"), text("typing")]).toEqual(["0 queued", "0", ""]);
});

it("makes up a name at a first visit and keeps it for the tab", async () => {
  act(() => root.unmount());
  storage.clear();
  await open("http://127.0.0.1:8080/");
  const { value: name } = one("name") as HTMLInputElement;
  expect([name, storage.get("roomcast-name")]).toEqual([expect.stringMatching(/^\w+-\w+-\d\d$/), name]);
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
  const button = [...page.querySelectorAll("button")].find(({ textContent }) => textContent === "Discard");
  act(() => button?.click());
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
  await wait(3_000);
  expect([text("status"), text("messages")]).toEqual(["connected · gap", expect.stringContaining("the last message above did not survive")]);
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
  const button = [...page.querySelectorAll("button")].find(({ textContent }) => textContent === "Try again");
  act(() => button?.click());
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
  const button = [...page.querySelectorAll("button")].find(({ textContent }) => textContent === "Mark all as read");
  act(() => button?.click());
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
  const button = [...page.querySelectorAll("button")].find(({ textContent }) => textContent === "Try again");
  act(() => button?.click());
  await wait(1_000);
  expect(text("status")).toBe("connected");
});

it("shows the nodes' figures with their level", async () => {
  server.room("board:nodes").publish({ users: 1234, response_ms: 612.34 }, { state_key: "node-1" });
  await wait();
  const tiles = [...page.querySelectorAll(".tile")].map((tile) => [tile.getAttribute("data-level"), tile.textContent]);
  expect(tiles[0]).toEqual(["normal", "Active users1,234"]);
  expect(tiles[2]).toEqual(["critical", "Response timecritical612.3ms"]);
  expect(tiles[4]).toEqual(["normal", "CPU–%"]);
});
