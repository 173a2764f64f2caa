// The page in Chromium, on a node that runs: two people chat, an axe-core check of every pane, light and
// dark, and 10,000 messages at full speed. Usage: node test/browser.mjs URL [folder for screenshots].
// CHROMIUM names the browser. The node shows a key in the page's curl line, by which messages are published.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url = "http://127.0.0.1:8080/", pictures] = process.argv.slice(2);
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true };
const PANES = ["Chat", "Rooms", "Live"];
const FLOOD = 10_000;
const RUNS = 3;
const LONG = 50; // ms: what blocks the page for longer is a long task

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const faults = [];
const room = (name) => `demo:${name}-${Date.now().toString(36)}`;

async function open(options, query) {
  const page = await (await browser.newContext(options)).newPage();
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.addInitScript(() => {
    globalThis.longTasks = [];
    new PerformanceObserver((list) => globalThis.longTasks.push(...list.getEntries().map(({ startTime, duration }) => ({ startTime, duration }))))
      .observe({ entryTypes: ["longtask"] });
  });
  await page.goto(`${url}?${new URLSearchParams(query)}`);
  await page.getByTestId("status").filter({ hasText: "connected" }).waitFor();
  return page;
}

async function say(page, text) {
  await page.getByTestId("input").fill(text);
  await page.getByTestId("input").press("Enter");
}

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: join(pictures, `${name}.png`) });
}

async function chat() {
  const name = room("chat");
  const ann = await open(DESKTOP, { room: name, user: "ann" });
  const bob = await open(DESKTOP, { room: name, user: "bob" });
  await say(ann, "hello");
  await bob.getByTestId("message").filter({ hasText: "hello" }).waitFor();
  await bob.getByTestId("input").pressSequentially("hi");
  await ann.getByTestId("typing").filter({ hasText: "bob is typing" }).waitFor();
  await bob.getByTestId("input").press("Enter");
  await ann.getByTestId("message").filter({ hasText: "read by 1" }).waitFor();
  assert.deepEqual(await ann.getByTestId("message").evaluateAll((rows) => rows.map((row) => row.dataset.seq)), ["1", "2"]);
  await picture(ann, "chat");
  await Promise.all([ann, bob].map((page) => page.context().close()));
  console.log("chat: two people, typing, read receipts");
}

/** Every pane that a screen of this size can choose. */
async function check(name, options, panes = [""]) {
  const page = await open(options, { room: room("axe"), user: "ann" });
  await say(page, "a message");
  for (const pane of panes) {
    if (pane) await page.getByRole("navigation", { name: "Panes" }).getByRole("button", { name: pane }).click();
    await page.evaluate(AXE);
    const { violations } = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: "tag", values } }), TAGS);
    assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), [], `${name} ${pane}`);
    await picture(page, `${name}${pane && `-${pane.toLowerCase()}`}`);
  }
  await page.context().close();
  console.log(`axe-core: nothing on ${name}`);
}

/** The long tasks of one run. */
async function flood() {
  const name = room("flood");
  const page = await open(DESKTOP, { room: name, user: "ann" });
  const key = /Bearer ([\w.-]+)/.exec(await page.getByTestId("curl").textContent())?.[1];
  assert.ok(key, "the page shows no key");
  await page.waitForTimeout(1_000);
  const began = await page.evaluate(() => performance.now());
  const batch = async (first) => {
    const items = Array.from({ length: 100 }, (_, at) => ({ room: name, user: `bot-${at % 7}`, data: { text: `message ${first + at} of a flood` } }));
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    const answer = await fetch(new URL("v1/batch", url), { method: "POST", headers, body: JSON.stringify({ items }) });
    assert.equal(answer.status, 200, await answer.text());
  };
  let next = 0;
  await Promise.all([1, 2, 3, 4].map(async () => {
    while (next < FLOOD) await batch((next += 100) - 100);
  }));
  await page.locator(`[data-seq="${FLOOD}"]`).waitFor({ timeout: 60_000 });
  await page.waitForTimeout(1_500);
  const seqs = await page.getByTestId("message").evaluateAll((rows) => rows.map((row) => Number(row.dataset.seq)));
  assert.deepEqual(seqs, Array.from({ length: 500 }, (_, at) => FLOOD - 499 + at), "the newest 500, without holes");
  const long = await page.evaluate((from) => globalThis.longTasks.filter(({ startTime }) => startTime > from).map(({ duration }) => duration), began);
  await page.context().close();
  return long.filter((duration) => duration > LONG);
}

try {
  await chat();
  await check("desktop", DESKTOP);
  await check("desktop-dark", { ...DESKTOP, colorScheme: "dark" });
  await check("tablet", { viewport: { width: 1000, height: 760 } }, ["Rooms", "Live"]);
  await check("phone", PHONE, PANES);
  await check("phone-dark", { ...PHONE, colorScheme: "dark" }, PANES);
  const runs = [];
  for (let run = 0; run < RUNS; run++) runs.push(await flood());
  console.log(`${FLOOD} messages: tasks above ${LONG} ms in ${RUNS} runs: ${runs.map((long) => `[${long.join(", ")}]`).join(" ")}`);
  assert.ok(runs.some((long) => long.length === 0), "every run had a long task");
  assert.deepEqual(faults, []);
} finally {
  await browser.close();
}
