// The page in Chromium, on a node that runs: two people chat, the keyboard alone, and every state of the
// page under axe-core on four screens, light and dark. Usage: node test/browser.mjs URL [folder for
// screenshots]. CHROMIUM names the browser, PAGE a folder with another build; LOOKS takes some looks only,
// such as "desktop-light phone-dark".
import assert from "node:assert/strict";
import { DESKTOP, PHONE, SMALL, TABLET, browser, faults, newRoom, open, say } from "./chromium.mjs";
import { keyboard } from "./keyboard.mjs";
import { states } from "./states.mjs";

const wanted = process.env.LOOKS?.split(" ");

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

try {
  await chat();
  await keyboard();
  const screens = { desktop: [DESKTOP], tablet: [TABLET, "Rooms", "Live"], phone: [PHONE, "Chat", "Rooms", "Live"], small: [SMALL, "Chat", "Rooms", "Live"] };
  for (const [name, [options, ...panes]] of Object.entries(screens)) {
    for (const colorScheme of ["light", "dark"]) {
      const look = `${name}-${colorScheme}`;
      if (wanted?.includes(look) !== false) await states(look, { ...options, colorScheme }, panes);
    }
  }
  assert.deepEqual(faults, []);
} finally {
  await browser.close();
}
