// Chromium on the page of a running node, for browser.mjs: opens pages, sets scenes, looks with axe-core.
// With PAGE=FOLDER the page's script and style come from a build in that folder instead of the node.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const [url = "http://127.0.0.1:8080/", pictures] = process.argv.slice(2);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const ANSWER = 10_000; // ms

export const DESKTOP = { viewport: { width: 1280, height: 800 } };
export const TABLET = { viewport: { width: 820, height: 1100 } };
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true };
export const SMALL = { viewport: { width: 360, height: 640 }, hasTouch: true };

export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
/** Errors of pages; none is expected. */
export const faults = [];

let rooms = 0;
export const newRoom = (name) => `demo:${name}-${Date.now().toString(36)}${(rooms += 1)}`;

/**
 * A page of somebody who was never here. With `withLine` its `line` is the network between it and the node,
 * which costs time for every frame.
 */
export async function open(options, query, withLine = false) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(ANSWER);
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  if (process.env.PAGE) await page.route(/\/demo\.(js|css)$/, (route) => route.fulfill({ path: join(process.env.PAGE, new URL(route.request().url()).pathname) }));
  page.line = { isCut: false, sockets: [] };
  if (withLine) await page.routeWebSocket(/\/ws/, (socket) => {
    if (page.line.isCut) return void socket.close({ code: 1013 });
    socket.connectToServer();
    page.line.sockets.push(socket);
  });
  await page.goto(`${url}?${new URLSearchParams(query)}`);
  await status(page, "connected");
  return page;
}

export const status = (page, text) => page.getByTestId("status").filter({ hasText: text }).waitFor({ timeout: 3 * ANSWER });

export function cut(page) {
  page.line.isCut = true;
  for (const socket of page.line.sockets.splice(0)) socket.close({ code: 1012 });
}

export async function say(page, text) {
  await page.getByTestId("input").fill(text);
  await page.getByTestId("input").press("Enter");
}

/** Calls the node as a backend, with the key that the page shows. */
export async function call(page, path, body) {
  const key = /Bearer ([\w.-]+)/.exec(await page.getByTestId("curl").textContent())?.[1];
  assert.ok(key, "the page shows no key");
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await fetch(new URL(path, url), { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.status === 200 && !text.includes('"code"'), text);
}

export const publish = (page, items) => call(page, "v1/batch", { items });

/** Others in a room, on bare sockets of a page of their own (its policy allows them): they take frames. */
export async function crowd(page, room, names) {
  const other = await page.context().newPage();
  await other.goto(`${url}?room=${newRoom("elsewhere")}&user=crowd`);
  await other.evaluate(async ([address, users]) => {
    globalThis.people = await Promise.all(users.map((user) => new Promise((done) => {
      const socket = new WebSocket(`${address}?user=${user}`);
      socket.onopen = () => done(socket);
    })));
  }, [new URL("ws", url).href.replace("http", "ws"), names]);
  const all = (frames) => other.evaluate((texts) => texts.forEach((text, at) => text && globalThis.people[at].send(text)), frames.map((frame) => frame && JSON.stringify({ room, ...frame })));
  await all(names.map(() => ({ type: "join", id: 1 })));
  await page.bringToFront();
  return all;
}

export const pane = (page, name) => page.getByRole("navigation", { name: "Panes" }).getByRole("button", { name }).click();

/** What axe-core finds, and whether the page is wider than its screen. */
export async function look(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: "tag", values } }), TAGS);
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], name);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name}: wider than the screen`);
}
