// The page with the keyboard alone: everything is reached and used, with a visible focus, for browser.mjs.
import assert from "node:assert/strict";
import { DESKTOP, call, newRoom, open } from "./chromium.mjs";

const MOST = 40; // stops of a page with few rooms and messages

/** Where the focus is, and whether it shows: on the element, or on the box that stands for it. */
const focus = (page) => page.evaluate(() => {
  const active = document.activeElement;
  const name = active.dataset.testid ?? active.getAttribute("aria-label") ?? active.textContent.trim();
  const styles = [active, active.closest(".round, .write") ?? active].map((one) => getComputedStyle(one));
  return { name, isBody: active === document.body, isShown: styles.some(({ outlineStyle, boxShadow }) => outlineStyle !== "none" || boxShadow !== "none") };
});

export async function keyboard() {
  const room = newRoom("keys"), user = `ann-${Date.now().toString(36)}`;
  const page = await open({ ...DESKTOP, reducedMotion: "reduce" }, { room, user });
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const at = async (name) => assert.equal((await focus(page)).name, name);
  const to = async (name) => {
    for (let stop = 0; stop < MOST; stop += 1) {
      await press("Tab");
      if ((await focus(page)).name === name) return;
    }
    assert.fail(`no way to ${name}`);
  };

  const stops = [];
  for (let stop = 0; stop < MOST; stop += 1) {
    await press("Tab");
    const { name, isBody, isShown } = await focus(page);
    if (isBody) break;
    assert.ok(isShown, `${name}: the focus does not show`);
    stops.push(name);
  }
  for (const name of ["Write a message", "name", "demo:coffee", "room", "messages", "input", "send", "Mark all as read", "curl", "Copy"]) {
    assert.ok(stops.includes(name), `${name} is not among ${stops}`);
  }

  // The short way to write, then the way to the log and to its ends.
  await to("Write a message");
  await press("Enter");
  await page.waitForFunction(() => document.activeElement?.dataset.testid === "input");
  await page.keyboard.type("by key");
  await press("Enter");
  await page.getByTestId("message").filter({ hasText: "by key" }).waitFor();
  await at("input");

  // Another name, another room, by Enter and by the button: the focus stays.
  await to("name");
  await page.keyboard.type(`${user}-b`);
  await press("Tab");
  await at("Rename");
  await press("Enter");
  await page.getByTestId("members").getByText(`${user}-b`).waitFor();
  await at("name");
  await page.keyboard.type("nobody");
  await press("Escape");
  assert.equal(await page.getByTestId("name").inputValue(), `${user}-b`);
  await to("demo:coffee");
  await press("Enter");
  await page.locator("#room-title").filter({ hasText: "coffee" }).waitFor();
  await at("demo:coffee");
  await page.goBack();
  await page.locator("#room-title").filter({ hasText: room }).waitFor();

  // The bell leads to the notifications; marking them keeps the focus.
  await call(page, `v1/users/${user}-b/messages`, { data: { text: "for you" } });
  await page.getByTestId("bell").filter({ hasText: "1" }).waitFor();
  await page.locator(".bell").focus();
  await press("Enter");
  await page.waitForFunction(() => document.activeElement?.id === "notifications");
  await press("Tab", "Enter");
  await page.getByTestId("bell").filter({ hasText: "0" }).waitFor();
  await at("Mark all as read");

  assert.equal(await page.getByRole("log").getAttribute("aria-live"), null, "a log is a polite live region as it is");
  const moving = await page.evaluate(() => document.getAnimations().length);
  assert.equal(moving, 0, "something moves though motion is unwanted");
  await page.context().close();
  console.log("keyboard: everything is reached, shown and used");
}
