// For scripts in Chromium whose other side stops and starts the node: they name a step on stdout, and
// wait for a line on stdin. And how long a page may take meanwhile.

import { createInterface } from "node:readline";

export const ANSWER = 15_000; // ms until the page must show what is waited for
export const COME_BACK = 45_000; // ms until it must have reconnected: pauses grow while the node is away

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
export const ask = (step) => (console.log(step), lines.next());
