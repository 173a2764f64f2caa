// Prints the size of each entry as an application gets it (dist/, so build first), minified and
// gzip -9, and fails above a budget. With a folder it prints the same of all that is installed there
// (`npm install --prefix FOLDER …`), to compare.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gzipSync } from "node:zlib";

const BUDGETS = { index: 8192, msgpack: 6144, react: 1536, vue: 1536, svelte: 1536 };

async function bundle(options) {
  const { outputFiles } = await build({
    bundle: true,
    minify: true,
    format: "esm",
    legalComments: "none",
    write: false,
    ...options,
  });
  const code = outputFiles[0].contents;
  return { code, gzip: gzipSync(code, { level: 9 }).length };
}

const row = (name, { code, gzip }, more) =>
  console.log(`${name.padEnd(26)} ${String(code.length).padStart(6)} B minified  ${String(gzip).padStart(5)} B gzip -9  ${more}`);

let failed = false;
for (const [name, budget] of Object.entries(BUDGETS)) {
  const size = await bundle({ entryPoints: [`dist/${name}.js`], packages: "external" });
  failed ||= size.gzip > budget;
  row(name, size, `(budget ${budget} B)`);
}
process.exitCode = failed ? 1 : 0;

const folder = process.argv[2] && resolve(process.argv[2]);
if (folder) {
  const read = (path) => JSON.parse(readFileSync(join(folder, path), "utf8"));
  for (const name of Object.keys(read("package.json").dependencies)) {
    const stdin = { contents: `export * from "${name}"; export { default } from "${name}";`, resolveDir: folder };
    // What they export by name, and what of them is the default, are all of them: nothing is shaken off.
    const size = await bundle({ stdin, platform: "browser", logLevel: "silent" }).catch(() =>
      bundle({ stdin: { ...stdin, contents: `export * from "${name}";` }, platform: "browser" }),
    );
    row(`${name} ${read(`node_modules/${name}/package.json`).version}`, size, "");
  }
}
