// Opens the node's demo in Chromium, as two people on two sizes of screen, through a restart of the
// node. Arguments: Chromium, the folder with npm's packages (and for screenshots), the page's URL.
// Asks for the restart on stdout, and waits for a line on stdin.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { launch } from "./launch.mjs";
import { ANSWER, COME_BACK, ask } from "./steps.mjs";

const [executablePath, work, url] = process.argv.slice(2);

const browser = await launch(executablePath, work);
const faults = [];
const pages = [];

/** The page as a browser that was never here has it. */
async function visit(query, viewport = { width: 1280, height: 800 }) {
  const context = await browser.newContext({ viewport });
  context.setDefaultTimeout(ANSWER);
  const page = await context.newPage();
  pages.push(page);
  page.on("pageerror", (error) => faults.push(`${query}: ${error}`));
  await page.goto(`${url}${query}`);
  await connected(page, ANSWER);
  return page;
}

const shown = (page, id) => page.getByTestId(id);
const connected = (page, timeout) => shown(page, "status").filter({ hasText: "connected" }).waitFor({ timeout });
const message = (page, text) => shown(page, "message").filter({ hasText: text });
const seqs = (page) => shown(page, "message").evaluateAll((rows) => rows.map((row) => Number(row.dataset.seq)));

async function say(page, text) {
  await shown(page, "input").fill(text);
  await shown(page, "input").press("Enter");
}

/** What a newcomer meets first: a name and a room, and figures of the node. */
async function newcomer() {
  const page = await visit("");
  assert.match(await shown(page, "name").inputValue(), /^[\w-]+$/);
  assert.equal(await shown(page, "room").inputValue(), "demo:lobby");
  await shown(page, "members").getByText("you", { exact: true }).waitFor();
  // What it loads is the node's own, under a policy that lets nothing else in.
  await page.locator(".live").getByText("Active users").first().waitFor();
  await page.waitForFunction(() => /\d\s?%/.test(document.querySelector(".live").textContent));
  await page.screenshot({ path: join(work, "first-sight.png") });

  await shown(page, "name").fill("<b>has blanks</b>");
  await shown(page, "name").press("Enter");
  await connected(page, ANSWER);
  assert.equal(await shown(page, "name").inputValue(), "<b>has-blanks</b>");
  await page.context().close();
}

/** The bell, on two devices of one user, by the command that the page shows. */
async function bell() {
  const one = await visit("?user=carol");
  const other = await visit("?user=carol", { width: 390, height: 844 });
  await shown(one, "bell").filter({ hasText: /^0$/ }).waitFor();
  const command = await shown(one, "curl").textContent();
  assert.match(command, /Bearer demo\.[\w-]{43}'/);
  execFileSync("sh", ["-c", command], { stdio: ["ignore", "pipe", "pipe"] });
  for (const page of [one, other]) await shown(page, "bell").filter({ hasText: /^1$/ }).waitFor();
  await Promise.all([one, other].map((page) => page.context().close()));
}

/** Names and texts with markup in them are shown as text, to their author and to others. */
async function markup() {
  const user = "<img/src=x/onerror=window.ran=1>", watcher = "<svg/onload=window.ran=1>";
  const query = (name) => `?${new URLSearchParams({ room: "demo:<b>room</b>", user: name })}`;
  const both = [await visit(query(user)), await visit(query(watcher))];
  const texts = [
    "<script>window.ran = 1</script>", "<iframe srcdoc='<script>parent.ran=1</script>'>",
    "javascript:window.ran=1", '{"<img src=x onerror=window.ran=1>": 1}', "&lt;script&gt;", "${window.ran=1}{{7*7}}",
  ];
  for (const text of texts) {
    await say(both[0], text);
    for (const page of both) await message(page, text).waitFor();
  }
  for (const page of both) {
    assert.equal(await page.locator("#app :is(b, script, iframe)").count(), 0);
    // Were markup ever taken as such, the page's policy runs none of it.
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
    await page.context().close();
  }
}

/** The client library is a module as the node serves it. */
async function library() {
  const page = await visit("");
  const names = await page.evaluate(async (address) => Object.keys(await import(address)), new URL("client.js", url).href);
  assert.ok(names.includes("Client"), String(names));
  await page.context().close();
}

try {
  await newcomer();
  await bell();
  await markup();
  await library();
  const alice = await visit("?room=demo:talk&user=alice");
  await say(alice, "hello");
  await message(alice, "hello").waitFor();
  const bob = await visit("?room=demo:talk&user=bob", { width: 390, height: 844 });
  await message(bob, "hello").waitFor();
  await shown(bob, "input").pressSequentially("hi");
  await shown(alice, "typing").filter({ hasText: "bob is typing" }).waitFor();
  await shown(bob, "input").press("Enter");
  await message(alice, "hi").waitFor();
  for (const page of [alice, bob]) assert.deepEqual(await seqs(page), [1, 2]);
  const long = `a long word ${"x".repeat(200)} and ${"some words ".repeat(30)}`.trim();
  await say(alice, long);
  await message(bob, long).waitFor();
  const wide = await bob.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  assert.ok(!wide, "on a phone the page is wider than the screen");
  await alice.screenshot({ path: join(work, "desktop.png") });
  await bob.screenshot({ path: join(work, "phone.png") });

  await ask("stop the node");
  for (const page of [alice, bob]) await shown(page, "status").filter({ hasText: "reconnecting" }).waitFor();
  await say(alice, "said while the node was away");
  await shown(alice, "queue").filter({ hasText: "1" }).waitFor();
  await bob.screenshot({ path: join(work, "phone-waiting.png") });
  await ask("start the node");
  // Whoever comes back first: the rooms were in the node's memory, and begin again.
  for (const page of [alice, bob]) {
    await connected(page, COME_BACK);
    await message(page, "said while the node was away").waitFor();
  }
  await shown(alice, "queue").filter({ hasText: "0" }).waitFor({ state: "attached" });
  await say(bob, "back again");
  for (const page of [alice, bob]) await message(page, "back again").waitFor();
  await alice.screenshot({ path: join(work, "desktop-after.png") });
  assert.deepEqual(faults, [], "errors on the page");
} catch (failure) {
  await Promise.all(pages.map((page, index) =>
    page.screenshot({ path: join(work, `failed-${index}.png`) }).catch(() => {})));
  throw failure;
} finally {
  await browser.close();
}
console.log("done");
process.exit(0);
