// The page in Chromium, on a node that runs: two people chat, the keyboard alone, every state of the page
// under axe-core on four screens, light and dark, and 10,000 messages at full speed. Usage: node
// test/browser.mjs URL [folder for screenshots]. CHROMIUM names the browser, PAGE a folder with another build.
import assert from "node:assert/strict";
import { DESKTOP, PHONE, SMALL, TABLET, browser, faults, newRoom, open, publish, say } from "./chromium.mjs";
import { keyboard } from "./keyboard.mjs";
import { states } from "./states.mjs";

const FLOOD = 10_000;
const RUNS = 3;
const LONG = 50; // ms: what blocks the page for longer is a long task

async function chat() {
  const name = newRoom("chat");
  const ann = await open(DESKTOP, { room: name, user: "ann" });
  const bob = await open(DESKTOP, { room: name, user: "bob" });
  await say(ann, "hello");
  await bob.getByTestId("message").filter({ hasText: "hello" }).waitFor();
  await bob.getByTestId("input").pressSequentially("hi");
  await ann.getByTestId("typing").filter({ hasText: "bob is typing" }).waitFor();
  await bob.getByTestId("input").press("Enter");
  await ann.getByTestId("message").filter({ hasText: "read by 1" }).waitFor();
  assert.deepEqual(await ann.getByTestId("message").evaluateAll((rows) => rows.map((row) => row.dataset.seq)), ["1", "2"]);
  await Promise.all([ann, bob].map((page) => page.context().close()));
  console.log("chat: two people, typing, read receipts");
}

/** The long tasks of one run. */
async function flood() {
  const name = newRoom("flood");
  const page = await open(DESKTOP, { room: name, user: "ann" });
  await page.waitForTimeout(1_000);
  const began = await page.evaluate(() => performance.now());
  const batch = (first) => publish(page, Array.from({ length: 100 }, (_, at) =>
    ({ room: name, user: `bot-${at % 7}`, data: { text: `message ${first + at} of a flood` } })));
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
  await keyboard();
  const screens = { desktop: [DESKTOP], tablet: [TABLET, "Rooms", "Live"], phone: [PHONE, "Chat", "Rooms", "Live"], small: [SMALL, "Chat", "Rooms", "Live"] };
  for (const [name, [options, ...panes]] of Object.entries(screens)) {
    for (const colorScheme of ["light", "dark"]) await states(`${name}-${colorScheme}`, { ...options, colorScheme }, panes);
  }
  const runs = [];
  for (let run = 0; run < RUNS; run++) runs.push(await flood());
  console.log(`${FLOOD} messages: tasks above ${LONG} ms in ${RUNS} runs: ${runs.map((long) => `[${long.join(", ")}]`).join(" ")}`);
  assert.ok(runs.some((long) => long.length === 0), "every run had a long task");
  assert.deepEqual(faults, []);
} finally {
  await browser.close();
}
