// Runs a script as if it were pasted into the console of the node's page, and prints what it logs
// there. Arguments: Chromium, the folder with npm's packages, the page's URL, the script's file.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [executablePath, work, url, script] = process.argv.slice(2);
const { chromium } = createRequire(join(work, "npm/package.json"))("playwright-core");

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
process.on("SIGTERM", () => browser.close().finally(() => process.exit(0)));
const page = await browser.newPage();
page.on("pageerror", (error) => { console.log(`error: ${error}`); process.exit(1); });
page.on("console", async (message) => {
  const values = await Promise.all(message.args().map((value) => value.jsonValue()));
  console.log(values.map((value) => (typeof value === "string" ? value : JSON.stringify(value))).join(" "));
});
await page.goto(url);
// A console takes `await` at the top level.
await page.evaluate(`(async () => {\n${readFileSync(script, "utf8")}\n})()`);
