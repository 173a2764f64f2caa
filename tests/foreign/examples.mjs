// Opens an example that is a page in Chromium, as two people, through a restart of the node. Arguments:
// Chromium, the folder with npm's packages (and for screenshots), the page's URL, and its name. Asks for
// the restart on stdout, and waits for a line on stdin.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { launch, requireOf } from "./launch.mjs";
import { ANSWER, COME_BACK, ask } from "./steps.mjs";

const [executablePath, work, url, name] = process.argv.slice(2);
const AXE = readFileSync(requireOf(work).resolve("axe-core/axe.min.js"), "utf8");
const browser = await launch(executablePath, work);
const faults = [];

async function open(user) {
  const context = await browser.newContext();
  context.setDefaultTimeout(ANSWER);
  const page = await context.newPage();
  page.on("pageerror", (error) => faults.push(`${user}: ${error}`));
  await page.goto(`${url}&user=${user}`);
  await state(page, "connected", ANSWER);
  return page;
}

const state = (page, text, timeout) => page.getByRole("status").filter({ hasText: text }).waitFor({ timeout });

async function say(page, text) {
  await page.getByRole("textbox", { name: "Message" }).fill(text);
  await page.getByRole("button", { name: "Send" }).click();
}

/** Waits for the last of these messages; they are all that the page shows, but for its own notes. */
async function shows(page, ...wanted) {
  const items = page.getByRole("log").getByRole("listitem");
  await items.filter({ hasText: wanted.at(-1) }).waitFor();
  assert.deepEqual((await items.allTextContents()).filter((line) => !line.startsWith("(")), wanted);
}

try {
  const pages = [await open("alice"), await open("bob")];
  const [alice, bob] = pages;
  for (const page of pages) await page.getByText("Here:").filter({ hasText: "alice" }).filter({ hasText: "bob" }).waitFor();
  await say(alice, "hello");
  for (const page of pages) await shows(page, "alice: hello");
  await say(bob, "<b>hi</b>");
  for (const page of pages) await shows(page, "alice: hello", "bob: <b>hi</b>");
  if (name === "react") {
    await bob.getByRole("button", { name: "soup: 0" }).click();
    for (const page of pages) await page.getByRole("button", { name: "soup: 1" }).waitFor();
  }
  await alice.evaluate(AXE);
  const { violations } = await alice.evaluate(() => globalThis.axe.run(document));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]), []);
  await alice.screenshot({ path: join(work, `example-${name}.png`) });

  await ask("stop the node");
  for (const page of pages) {
    await state(page, "reconnecting", ANSWER);
    await page.getByText(/in \d+ s/).waitFor();
  }
  await say(alice, "while it was away");
  await ask("start the node");
  for (const page of pages) await state(page, "connected", COME_BACK);
  const before = ["alice: hello", "bob: <b>hi</b>", "alice: while it was away"];
  for (const page of pages) await shows(page, ...before);
  await say(bob, "back again");
  for (const page of pages) await shows(page, ...before, "bob: back again");
  assert.deepEqual(faults, [], "errors on the page");
} catch (failure) {
  const pages = browser.contexts().flatMap((context) => context.pages());
  await Promise.all(pages.map((page, at) => page.screenshot({ path: join(work, `example-${name}-failed-${at}.png`) }).catch(() => {})));
  throw failure;
} finally {
  await browser.close();
}
console.log("done");
process.exit(0);
