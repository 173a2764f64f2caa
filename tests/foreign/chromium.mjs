// A Chromium that a Python test drives: reads commands from stdin, a JSON object a line, and answers each
// on stdout under its id. Arguments: Chromium, the folder with npm's packages (and for screenshots).
// Everything it tells of a page was recorded in the page at each change, so that nothing passes between
// two looks. It knows nothing of nodes.

import { createHmac } from "node:crypto";
import { createInterface } from "node:readline";
import { launch } from "./launch.mjs";

const [executablePath, work] = process.argv.slice(2);
const ANSWER = 20_000; // ms until the page must have loaded, or let itself be used
// What Chromium itself says where it finds no server, or no WebSocket behind the client's plain question
// why (`/ws?…`): a page cannot keep it from that.
const isOfNetwork = ({ text, url }) =>
  /^WebSocket connection to '\S+' failed|^Failed to load resource: net::ERR_/.test(text) || (text.startsWith("Failed to load resource") && url.includes("/ws?"));

const browser = await launch(executablePath, work);
const people = new Map();

/** Runs in a page before its own scripts: records what the demo shows, and what it never may show. */
function watch(isFlooded) {
  const record = (globalThis.record = { statuses: [], wrong: [], longTasks: [], longestPause: 0 });
  const find = (id) => [...document.querySelectorAll(`[data-testid=${id}]`)];
  const label = (row) => /\[[^\]]+\]/.exec(row.textContent)?.[0] ?? row.textContent;
  record.rows = () => find("message").map((row) => [Number(row.dataset.seq), label(row)]);
  const complain = (what) => record.wrong.includes(what) || record.wrong.push(what);
  const look = () => {
    const status = find("status")[0]?.textContent.trim();
    if (status && status !== record.statuses.at(-1)) record.statuses.push(status);
    const rows = record.rows();
    for (const [at, [seq]] of rows.entries()) {
      if (at > 0 && seq !== rows[at - 1][0] + 1) complain(`${seq} is shown after ${rows[at - 1][0]}`);
    }
    // An own message is a row of the room or one on its way, never both.
    const labels = [...(find("messages")[0]?.querySelectorAll("li") ?? [])].map(label).filter((text) => text[0] === "[");
    if (new Set(labels).size < labels.length) complain(`twice at once: ${labels.filter((text, index) => labels.indexOf(text) < index)}`);
  };
  // To look at every row after each change would slow down a flood.
  if (!isFlooded) new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true });
  new PerformanceObserver((list) => record.longTasks.push(...list.getEntries().map(({ startTime, duration }) => ({ startTime, duration }))))
    .observe({ entryTypes: ["longtask"] });
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    record.longestPause = Math.max(record.longestPause, now - last);
    last = now;
  }, 50);
}

/** A token of HS256; `seconds` from now it has expired. */
function token({ secret, user, rooms }, seconds) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode({ sub: user, rooms, exp: Math.floor(Date.now() / 1000) + seconds })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** What a page's WebSockets were told. */
function listen(socket, sockets) {
  const known = { node: "", types: {}, holes: [], isOpen: true };
  sockets.push(known);
  socket.on("close", () => (known.isOpen = false));
  socket.on("framereceived", ({ payload }) => {
    const type = /^\{"type":"(\w+)"/.exec(payload)?.[1] ?? "other";
    known.types[type] = (known.types[type] ?? 0) + 1;
    if (type === "connected") known.node = JSON.parse(payload).node;
    if (type === "gap" || type === "reset") known.holes.push(JSON.parse(payload));
  });
}

const commands = {
  /** Opens the demo, or the bare page, whose tokens live so many seconds one after the other; `none` is when it gets none. */
  async open({ name, url, tokens, isFlooded = false }) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    context.setDefaultTimeout(ANSWER);
    const page = await context.newPage();
    const person = { page, context, errors: [], sockets: [], asked: 0 };
    people.set(name, person);
    page.on("pageerror", (error) => person.errors.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error" && !isOfNetwork({ text: message.text(), url: message.location().url })) person.errors.push(message.text());
    });
    page.on("websocket", (socket) => listen(socket, person.sockets));
    await page.addInitScript(watch, isFlooded);
    if (tokens) {
      const { lives, none = [0, 0] } = tokens;
      const began = performance.now();
      await page.exposeFunction("giveToken", () => {
        const second = (performance.now() - began) / 1000;
        if (second > none[0] && second < none[1]) throw new Error("no token just now");
        return token(tokens, lives[Math.min(person.asked++, lives.length - 1)]);
      });
    }
    await page.goto(url);
  },

  async say({ name, text }) {
    const { page } = people.get(name);
    if (page.url().includes("/bare?")) return page.evaluate((words) => void globalThis.say(words), text);
    await page.getByTestId("input").fill(text);
    await page.getByTestId("input").press("Enter");
  },

  async look({ name }) {
    const { page, errors, sockets, asked } = people.get(name);
    const shown = await page.evaluate(() => {
      const text = (id) => document.querySelector(`[data-testid=${id}]`)?.textContent ?? "";
      const { rows, ...record } = globalThis.record;
      return { rows: rows(), ...record, status: text("status"), queue: Number(/\d+/.exec(text("queue"))?.[0] ?? 0), ...globalThis.bare };
    });
    return { ...shown, errors, sockets, asked };
  },

  /** The last message's number: a look that costs the page next to nothing. */
  newest: ({ name }) =>
    people.get(name).page.evaluate(() => {
      const last = [...document.querySelectorAll("[data-testid=message]")].at(-1);
      return Number(last?.dataset.seq ?? globalThis.bare?.rows.at(-1)?.[0] ?? 0);
    }),

  /** What comes is recorded anew. */
  async forget({ name }) {
    await people.get(name).page.evaluate(() => Object.assign(globalThis.record, { statuses: [], longTasks: [], longestPause: 0 }));
  },

  offline: ({ name, isOffline }) => people.get(name).context.setOffline(isOffline),

  async picture({ name, file }) {
    await people.get(name)?.page.screenshot({ path: file, timeout: 5_000 });
  },

  async close({ name }) {
    await people.get(name).context.close();
    people.delete(name);
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, what, ...command } = JSON.parse(line);
  // Not one after the other: a page that stands still must not hold up another.
  commands[what](command).then(
    (value) => console.log(JSON.stringify({ id, value: value ?? null })),
    (error) => console.log(JSON.stringify({ id, error: String(error.stack ?? error) })),
  );
}
await browser.close();
process.exit(0);
