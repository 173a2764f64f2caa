// Runs a script as if it were pasted into the console of the node's page, and prints what it logs
// there. Arguments: Chromium, the folder with npm's packages, the page's URL, the script's file.

import { readFileSync } from "node:fs";
import { launch } from "./launch.mjs";

const [executablePath, work, url, script] = process.argv.slice(2);
const browser = await launch(executablePath, work);
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
