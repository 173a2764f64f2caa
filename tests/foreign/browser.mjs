// Opens the node's page in Chromium, as two people on two sizes of screen, through a restart of the
// node. Arguments: Chromium, the folder with npm's packages (and for screenshots), the page's URL.
// Asks for the restart on stdout, and waits for a line on stdin.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const [executablePath, work, url] = process.argv.slice(2);
const { chromium } = createRequire(join(work, "npm/package.json"))("playwright-core");
const ANSWER = 15_000; // ms until the page must show what is waited for
const COME_BACK = 45_000; // ms until it must have reconnected: pauses grow while the node is away

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const ask = (step) => (console.log(step), lines.next());

const folder = mkdtempSync(join(tmpdir(), "roomcast-browser-"));
const context = await chromium.launchPersistentContext(folder, {
  executablePath,
  headless: true,
  viewport: { width: 1280, height: 800 },
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
  ],
});
context.setDefaultTimeout(ANSWER);
const faults = [];

async function visit(user) {
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(`${user}: ${error}`));
  await page.goto(url);
  return page;
}

async function open(user) {
  const page = await visit(user);
  await page.getByLabel("Room").fill("lobby");
  await page.getByLabel("Your name").fill(user);
  await page.getByRole("button", { name: "Join" }).click();
  await connected(page, ANSWER);
  return page;
}

const connected = (page, timeout) =>
  page.locator("#status[data-state=connected]").waitFor({ timeout });

async function publish(page, text) {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.getByRole("button", { name: "Publish" }).click();
}

/** Waits until the last message on the page is this one. */
async function shows(page, seq, user, text) {
  const line = page.locator("#messages li", { has: page.locator(".seq") }).last();
  const wanted = `${seq} ${user} ${text}`;
  await line.filter({ hasText: text }).waitFor();
  const parts = [".seq", ".user", ".data"].map((part) => line.locator(part).textContent());
  assert.equal((await Promise.all(parts)).join(" "), wanted);
}

const acks = (page, text) => page.locator("#acks", { hasText: text }).waitFor();

/** What a newcomer meets first: hints, a name that is refused, Publish before Join, odd texts. */
async function newcomer() {
  const page = await visit("newcomer");
  await page.locator("#hint", { hasText: "Press Join" }).waitFor();
  await page.screenshot({ path: join(work, "first-sight.png") });
  await page.getByLabel("Room").fill("hall");
  await page.getByLabel("Your name").fill("has blanks");
  await publish(page, "hello");
  const status = page.locator("#status[data-state=ended]", { hasText: "no blanks" });
  await status.waitFor();
  await acks(page, /^not published: hello$/);
  assert.equal(await page.getByRole("textbox", { name: "Message" }).inputValue(), "hello");
  // The first pause before coming back would be 400 ms at most.
  await page.waitForTimeout(1_000);
  assert.ok(await status.isVisible(), "it came back after a final refusal");
  await page.screenshot({ path: join(work, "refused.png") });

  await page.getByLabel("Your name").fill("newcomer");
  await page.getByRole("button", { name: "Join" }).click();
  await page.locator("#hint", { hasText: "No message is in hall yet" }).waitFor();
  await page.screenshot({ path: join(work, "empty-room.png") });
  const texts = ["1e3", "1.50", '"quoted"', "12345678901234567890", "42", '{"a": [1]}'];
  const shown = [...texts.slice(0, 5), '{"a":[1]}'];
  for (const [at, text] of texts.entries()) {
    await publish(page, text);
    await shows(page, at + 1, "newcomer", shown[at]);
  }
  assert.ok(!(await page.locator("#hint").isVisible()), "the hint covers messages");
  await page.getByLabel("Room").focus();
  assert.ok(await page.evaluate(ringIsClear), "the focus ring cuts its label");
  await page.close();

  const second = await visit("second");
  await second.getByLabel("Room").fill("hall");
  await publish(second, "before Join");
  await acks(second, /^joined hall first; published in hall as 7$/);
  await second.close();
}

/** Room, user, event and data with markup in them are shown as text, to their author and to others. */
async function markup() {
  const room = "<b>room</b>", user = "<img/src=x/onerror=window.ran=1>", watcher = "<svg/onload=window.ran=1>";
  const pages = [];
  for (const name of [user, watcher]) {
    const page = await visit(name);
    await page.getByLabel("Room").fill(room);
    await page.getByLabel("Your name").fill(name);
    await page.getByRole("button", { name: "Join" }).click();
    await connected(page, ANSWER);
    pages.push(page);
  }
  const texts = [
    "<script>window.ran = 1</script>", "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "javascript:window.ran=1", '{"<img src=x onerror=window.ran=1>": "</li><script>window.ran=1</script>"}',
    "&lt;script&gt;", "\u202e\u0000${window.ran=1}{{7*7}}",
  ];
  for (const text of texts) {
    await publish(pages[0], text);
    const shown = text.startsWith("{") ? JSON.stringify(JSON.parse(text)) : text;
    for (const page of pages) {
      const line = page.locator("#messages li", { has: page.locator(".data") }).last();
      await line.filter({ hasText: shown.slice(0, 12) }).waitFor();
      assert.equal(await line.locator(".user").textContent(), user);
      assert.ok((await line.locator(".data").textContent()).includes(shown.slice(0, 12)));
    }
  }
  for (const page of pages) {
    assert.equal(await page.locator("#room :is(b, img, svg, script, iframe, a), #acks *, #status *").count(), 0);
    // Were markup ever taken as such, the page's policy runs none of it: not what is inline, not
    // what comes from elsewhere.
    const outcome = await page.evaluate(async () => {
      const tries = [
        () => { document.body.innerHTML += "<img src=x onerror='window.ran = 1'>"; },
        () => { const made = document.createElement("script"); made.text = "window.ran = 1"; document.body.append(made); },
        () => { document.body.setAttribute("onclick", "window.ran = 1"); document.body.click(); },
      ];
      for (const attempt of tries) try { attempt(); } catch { /* refused at once */ }
      await new Promise((done) => setTimeout(done, 300));
      return window.ran;
    });
    assert.equal(outcome, undefined, "markup ran");
    await page.close();
  }
}

/** In the page: whether the ring of the field in focus ends below the text of its label. */
function ringIsClear() {
  const field = document.activeElement;
  const { outlineOffset, outlineWidth } = getComputedStyle(field);
  const text = document.createRange();
  text.selectNode(field.parentElement.firstChild);
  const ring = field.getBoundingClientRect().top - parseFloat(outlineOffset) - parseFloat(outlineWidth);
  return ring >= text.getBoundingClientRect().bottom;
}

try {
  await newcomer();
  await markup();
  const alice = await open("alice");
  await publish(alice, "hello");
  await shows(alice, 1, "alice", "hello");

  const bob = await open("bob");
  await bob.setViewportSize({ width: 390, height: 844 });
  await shows(bob, 1, "alice", "hello");
  await publish(bob, '{"answer": 42, "<b>": "no markup"}');
  for (const page of [alice, bob]) {
    await shows(page, 2, "bob", '{"answer":42,"<b>":"no markup"}');
    assert.equal(await page.locator("#messages b").count(), 0, "markup was taken as markup");
  }
  await publish(alice, `a long word ${"x".repeat(200)} and ${"some words ".repeat(30)}`);
  await shows(bob, 3, "alice", `a long word ${"x".repeat(200)} and ${"some words ".repeat(30)}`);
  const wide = await bob.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.ok(!wide, "on a phone the page is wider than the screen");
  await alice.screenshot({ path: join(work, "desktop.png") });
  await bob.screenshot({ path: join(work, "phone.png") });

  await ask("stop the node");
  for (const page of [alice, bob]) await page.locator("#status[data-state=waiting]").waitFor();
  await publish(alice, "said while the node was away");
  await bob.screenshot({ path: join(work, "phone-waiting.png") });
  await ask("start the node");
  // Whoever comes back first: both are told of the reset, and read what is new.
  for (const page of [alice, bob]) {
    await connected(page, COME_BACK);
    await page.locator("#messages .notice", { hasText: "The room was started again" }).waitFor();
    await shows(page, 1, "alice", "said while the node was away");
  }
  const lost = alice.locator("#messages .notice", { hasText: "the last 3 messages above are no longer in the room" });
  await lost.waitFor();
  await publish(bob, "back again");
  for (const page of [alice, bob]) await shows(page, 2, "bob", "back again");
  await alice.screenshot({ path: join(work, "desktop-after.png") });
  assert.deepEqual(faults, [], "errors on the page");
} catch (failure) {
  await Promise.all(context.pages().map((page, index) =>
    page.screenshot({ path: join(work, `failed-${index}.png`) }).catch(() => {})));
  throw failure;
} finally {
  await context.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log("done");
process.exit(0);
