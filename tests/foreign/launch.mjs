// The one way in which these tests start Chromium: playwright-core of the folder with npm's packages,
// and a browser that sends nothing outside of this machine.

import { createRequire } from "node:module";
import { join } from "node:path";

/** Finds what is installed in the folder. */
export const requireOf = (work) => createRequire(join(work, "npm/package.json"));

export function launch(executablePath, work) {
  return requireOf(work)("playwright-core").chromium.launch({
    executablePath,
    args: [
      "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}
