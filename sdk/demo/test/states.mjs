// What the page can look like: each state is looked at with axe-core, for browser.mjs.
import { call, cut, crowd, look, newRoom, open, pane, publish, say, status } from "./chromium.mjs";

const LONG_WORD = "x".repeat(300);
const LONG_TEXT = "some words ".repeat(60);
const LINK = `https://example.org/${"a-long-path/".repeat(12)}`;
/** One pixel. */
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M/wHwAEBgIApD5fRAAAAABJRU5ErkJggg==";

/** Above every limit, or between the two. */
const WORRIED = { users: 12_345, requests: 6_789.1, response_ms: 512.3, errors: 1.5, cpu: 71, memory: 95 };

/** All states of one size of screen; `panes` are those it shows one at a time. */
export async function states(name, options, panes) {
  const seen = (page, state, at = "") => look(page, [name, state, at.toLowerCase()].filter((part) => part !== "").join("-"));
  const everyPane = async (page, state) => {
    if (panes.length === 0) return seen(page, state);
    for (const one of panes) {
      await pane(page, one);
      await seen(page, state, one);
    }
    if (panes.includes("Chat")) await pane(page, "Chat");
  };

  const room = newRoom("states"), user = `ann-${Date.now().toString(36)}`;
  const page = await open(options, { room, user }, true);
  await page.getByText("Nothing here yet").waitFor();
  await everyPane(page, "empty");

  // Many people, runs of messages, what is long, an image, pointers and who types.
  const names = Array.from({ length: 45 }, (_, at) => (at === 3 ? `a-name-${LONG_WORD.slice(0, 100)}` : `person-${at}`));
  const all = await crowd(page, room, names);
  const said = (from, text) => ({ room, user: names[from], data: { text } });
  await publish(page, [said(0, "one"), said(0, "two"), said(1, LONG_TEXT), said(2, LONG_WORD), said(3, `see ${LINK}`)]);
  await page.locator("input[type=file]").setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: Buffer.from(PNG, "base64") });
  await page.locator(".attachment").waitFor();
  await seen(page, "attachment");
  await say(page, "an image");
  await page.locator(".message img").waitFor();
  await all([{ type: "presence", status: "away" }]);
  await all(names.slice(0, 6).map((_, at) => ({ type: "signal", event: "cursor", data: { x: at / 5, y: 1 - at / 5 } })));
  await all(names.slice(0, 3).map(() => ({ type: "typing" })));
  await page.getByTestId("typing").filter({ hasText: "and 2 others are typing" }).waitFor();
  await seen(page, "lively");
  await everyPane(page, "crowd");

  // The bell, and figures that a backend would worry about.
  const notify = (text) => call(page, `v1/users/${user}/messages`, { data: { text } });
  await notify("read");
  if (panes.includes("Live")) await pane(page, "Live");
  await page.getByRole("button", { name: "Mark all as read" }).click();
  await page.getByTestId("bell").filter({ hasText: "0" }).waitFor();
  await notify(LONG_TEXT);
  await page.getByTestId("bell").filter({ hasText: "1" }).waitFor();
  await publish(page, [{ room: "board:nodes", state_key: "hot", ttl_ms: 10_000, data: WORRIED }]);
  await page.getByLabel("Node", { exact: true }).selectOption("hot");
  await page.locator(".tile[data-level=critical]").first().waitFor();
  await seen(page, "worried");
  if (panes.includes("Chat")) await pane(page, "Chat");

  // Away from the end; without a connection; back; a gap; stopped.
  await page.getByTestId("messages").press("Home");
  await publish(page, [said(1, "while you read")]);
  await page.getByRole("button", { name: "1 new" }).waitFor();
  await seen(page, "above");
  await page.getByRole("button", { name: "1 new" }).click();
  cut(page);
  await status(page, "reconnecting");
  await say(page, "unsent");
  await page.getByTestId("queue").filter({ hasText: "1 queued" }).waitFor();
  await everyPane(page, "offline");
  page.line.isCut = false;
  await status(page, "resumed");
  await seen(page, "resumed");
  page.line.sockets.at(-1).send(JSON.stringify({ type: "gap", room, from: 100, to: 120 }));
  await status(page, "gap");
  await seen(page, "gap");
  page.line.sockets.at(-1).close({ code: 4501, reason: "banned" });
  await status(page, "stopped: banned");
  await everyPane(page, "stopped");
  await page.context().close();
  console.log(`axe-core: nothing on ${name}`);
}
