// Every program of docs/sdk.md, docs/testing.md and docs/coming-from.md that uses this package: it
// compiles under the strict rules of this package, and it runs and shows what it should.
import { format } from "node:util";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { afterEach, describe, expect, test, vi } from "vitest";
import { msgpack } from "../src/msgpack.js";
import { FakeServer, type FakeRoomOptions } from "../src/testing.js";
import { blocks, example, page, source, write } from "./documents.js";

// The example for Node 20 gets the fake server's class too.
vi.mock("ws", () => ({
  get WebSocket() {
    return globalThis.WebSocket;
  },
}));
// Another test makes a module of a block for the browser.
const RUN = ["ts", "ts more", "js sdk"];
const PAGES = ["sdk.md", "testing.md", "coming-from.md", "quickstart.md"];
const all = (...kinds: string[]) => PAGES.flatMap((name) => blocks(name, ...kinds));

interface Scene {
  room?: FakeRoomOptions;
  before?(server: FakeServer): void;
  /** What others do while the program runs. */
  during?(server: FakeServer): Promise<void> | void;
  /** Each of these is in a line that it prints. */
  shown: string[];
}

const joined = (server: FakeServer, name: string) =>
  vi.waitFor(() => expect(server.room(name).members.size).toBe(1), { timeout: 5000 });

// The heading above a program → how it is run.
const SCENES: Record<string, Scene> = {
  "Five lines": { shown: ["alice { text: 'hello' }"] },
  "The connection": {
    async during(server) {
      await joined(server, "chat:1");
      server.room("chat:1").gap(2);
      await vi.waitFor(() => expect(server.handshakes.length).toBe(1));
      await pause();
      server.disconnect(1012);
      await joined(server, "chat:1");
      await pause();
      server.disconnect(4501, "banned");
    },
    shown: ["chat:1: 1 to 2 are missing", "reconnecting in ", " 1 1012", "back", "nothing was missed", "ended: banned"],
  },
  load: {
    before(server) {
      server.room("board:1").publish("covered");
    },
    async during(server) {
      await joined(server, "board:1");
      server.room("board:1").publish("above");
    },
    shown: ["cards: a b", "changed: above"],
  },
  "Over a page that is loaded again": { shown: [] },
  Publishing: { shown: ["sent as 1"] },
  Presence: {
    room: { presence: true },
    async during(server) {
      await vi.waitFor(() => expect(server.sockets[0]?.received).toContainEqual(expect.objectContaining({ type: "presence", status: "away" })), { timeout: 5000 });
    },
    shown: ["alice { name: 'Alice' }"],
  },
  "Typing, signals": {
    async during(server) {
      await vi.waitFor(() => expect(server.sockets[0]?.received.some(({ type }) => type == "signal")).toBe(true), { timeout: 5000 });
      const room = server.room("chat:1");
      room.tell({ type: "typing", user: "bob", active: true });
      room.tell({ type: "signal", user: "bob", event: "wave", data: 1 });
      room.tell({ type: "typing", user: "bob", active: false });
    },
    shown: ["bob is writing", "wave bob 1", "bob stopped"],
  },
  "The bell": {
    room: { receipts: true },
    before(server) {
      server.room("@me").marks.set("alice", { received: 0, read: 0 });
      server.room("@me").publish("one");
      server.room("@me").publish("two");
    },
    shown: ["unread: 2", "unread: 0"],
  },
  "State rooms": { room: { state: true }, shown: ["card/7 { x: 1, y: 2 }", "pointer { x: 5, y: 5 }", "card/7 is gone"] },
  Points: {
    room: { state: true, points: 60 },
    before(server) {
      for (const data of [1, 2]) server.room("figures:1").publish(data, { state_key: "cpu" });
    },
    async during(server) {
      await joined(server, "figures:1");
      server.room("figures:1").publish(3, { state_key: "cpu" });
    },
    shown: ["cpu [ 1, 2 ]", "cpu [ 1, 2, 3 ]"],
  },
  Tokens: { shown: [] },
  AbortSignal: { shown: ["aborted"] },
  "for await": {
    async during(server) {
      await joined(server, "orders");
      await pause();
      for (const data of ["first", "enough", "never read"]) server.room("orders").publish(data);
    },
    shown: ["1 first", "2 enough"],
  },
  Node: {
    async during(server) {
      await joined(server, "support");
      server.room("support").publish("why?", { event: "ask" });
      await vi.waitFor(() => expect(server.room("support").log[1]).toMatchObject({ data: "you asked: why?", event: "answer" }));
    },
    shown: [],
  },
  MessagePack: { shown: ["true"] },
  DevTools: {
    async during(server) {
      await joined(server, "chat:1");
      server.room("chat:1").publish("to the console");
    },
    shown: ["to the console"],
  },
  "What the server does": { shown: ["reconnecting: full", "failed: banned", "publish: banned"] },
  "From socket.io-client": { shown: ["chat hi", "sent as 1"] },
  "From pusher-js": {
    room: { presence: true },
    async during(server) {
      await joined(server, "orders");
      await pause();
      server.room("orders").publish({ id: 7 }, { event: "created" });
    },
    shown: ["created 7", "here: 1"],
  },
  "A page": { shown: ["alice { text: 'hello' }"] },
};

const pause = () => new Promise((resolve) => setTimeout(resolve, 30));

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

function stub(server: FakeServer): void {
  const kept = new Map<string, string>();
  vi.stubGlobal("WebSocket", server.WebSocket);
  vi.stubGlobal("sessionStorage", { getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => kept.set(key, value) });
  vi.stubGlobal("addEventListener", () => {});
  // The application's own backend, and the node.
  vi.stubGlobal("fetch", async (input: string, init?: RequestInit) => {
    if (input == "/api/board") return Response.json({ cards: ["a", "b"], at: { epoch: server.room("board:1").epoch, seq: 1 } });
    if (input == "/api/token") return new Response("header.claims.signature");
    return server.fetch(input, init);
  });
}

describe("programs of the documents", () => {
  test("each has a scene, and each scene a program", () => {
    expect(all(...RUN).map(({ heading }) => heading)).toEqual(Object.keys(SCENES));
  });

  test.each(all(...RUN).map((block) => [`${block.page}: ${block.heading}`, block] as const))("%s", { timeout: 20_000 }, async (_, block) => {
    const scene = SCENES[block.heading];
    const server = new FakeServer({ room: () => scene?.room ?? {}, encodings: [msgpack] });
    const shown: string[] = [];
    vi.spyOn(console, "log").mockImplementation((...values: unknown[]) => void shown.push(format(...values)));
    stub(server);
    scene?.before?.(server);
    const running: Promise<unknown> = import(/* @vite-ignore */ write(block));
    await scene?.during?.(server);
    await running;
    await vi.waitFor(() => {
      for (const line of scene?.shown ?? []) expect(shown).toContainEqual(expect.stringContaining(line));
    }, { timeout: 10_000 });
  });

  test("compile under strict rules", { timeout: 60_000 }, () => {
    const root = join(dirname(fileURLToPath(import.meta.url)), "..");
    const file = join(root, "tsconfig.json");
    const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(file, ts.sys.readFile).config, ts.sys, root);
    const paths = all(...RUN, "tsx", "vue", "svelte").map(write);
    expect(paths.length).toBeGreaterThan(18);
    const program = ts.createProgram(paths, options);
    const problems = ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
      const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
      return `${file?.fileName}:${line}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`;
    });
    expect(problems).toEqual([]);
  });

  test("what docs/testing.md shows is what runs here", () => {
    const names = ["chat.ts", "chat.test.ts", "react.test.tsx"];
    for (const name of names) {
      const [shown] = blocks("testing.md", `${name.split(".").at(-1)} test ${name}`);
      expect(example(name).endsWith(`\n\n${shown?.text}`), name).toBe(true);
    }
  });

  test("the table of errors has every code that the client makes", () => {
    const made = [...source().matchAll(/failure\("(\w+)"/g)].map(([, code]) => code);
    const table = page("sdk.md").split("\n## Errors\n")[1]?.split("\n## ")[0] ?? "";
    const listed = [...table.matchAll(/`(\w+)`/g)].map(([, code]) => code);
    expect(made.length).toBeGreaterThan(8);
    expect(listed).toEqual(expect.arrayContaining([...new Set(made)]));
  });
});
