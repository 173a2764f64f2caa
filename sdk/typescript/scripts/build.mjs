// Bundles each entry of the package into one ESM file under dist/. Declarations are tsc's work.
import { build } from "esbuild";
import { existsSync, rmSync } from "node:fs";

const entries = ["index", "msgpack", "react", "vue", "svelte", "testing"]
  .flatMap((name) => [`src/${name}.ts`, `src/${name}.tsx`])
  .filter((path) => existsSync(path));

rmSync("dist", { recursive: true, force: true });
await build({
  entryPoints: entries,
  outdir: "dist",
  bundle: true,
  format: "esm",
  target: "es2020",
  packages: "external",
  // Members that begin with `_` are private: short names keep applications' bundles small.
  mangleProps: /^_[a-zA-Z]/,
  minifySyntax: true,
  sourcemap: true,
  legalComments: "none",
});
