// Prints the size of each entry, minified and gzip -9, and fails above a budget.
import { build } from "esbuild";
import { existsSync } from "node:fs";
import { gzipSync } from "node:zlib";

const BUDGETS = { index: 8192, msgpack: 6144, react: 1024, vue: 1024, svelte: 1024 };

let failed = false;
for (const [name, budget] of Object.entries(BUDGETS)) {
  const entry = [`src/${name}.ts`, `src/${name}.tsx`].find((path) => existsSync(path));
  if (!entry) continue;
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2020",
    packages: "external",
    mangleProps: /^_[a-zA-Z]/,
    legalComments: "none",
    write: false,
  });
  const code = outputFiles[0].contents;
  const gzip = gzipSync(code, { level: 9 }).length;
  failed ||= gzip > budget;
  console.log(`${name.padEnd(8)} ${String(code.length).padStart(6)} B minified  ${String(gzip).padStart(5)} B gzip -9  (budget ${budget} B)`);
}
process.exitCode = failed ? 1 : 0;
