// Bundles the core into the one file that nodes serve at /client.js. Usage: node scripts/web.mjs [FILE]
// Without FILE it writes the copy that is part of the node.
import { build } from "esbuild";

const [outfile = "../../crates/gateway/web/client.js"] = process.argv.slice(2);

await build({
  entryPoints: ["src/index.ts"],
  outfile,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2020",
  charset: "utf8",
  mangleProps: /^_[a-zA-Z]/,
  legalComments: "none",
});
