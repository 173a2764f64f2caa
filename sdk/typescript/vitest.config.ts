// Unit tests: fake timers and the fake server, no network. Those that need a node say so and are run apart.
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (name: string) => fileURLToPath(new URL(`./src/${name}.ts`, import.meta.url));

export default defineConfig({
  // Examples name the package as applications do.
  resolve: {
    alias: [
      { find: /^@roomcast\/client$/, replacement: source("index") },
      { find: /^@roomcast\/client\/(\w+)$/, replacement: source("$1") },
    ],
  },
  test: { include: ["test/**/*.test.{ts,tsx}"], testTimeout: 10_000 },
});
