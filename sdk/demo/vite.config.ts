// The build of the page: three files with fixed names, into the gateway's folder, where the node embeds
// them. It must not depend on a built copy of the SDK: the aliases name its sources.
import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const path = (from: string) => fileURLToPath(new URL(from, import.meta.url));
const sdk = "../typescript/src";
const node = process.env["ROOMCAST_NODE"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  base: "./",
  plugins: [react()],
  resolve: {
    alias: [
      { find: "@roomcast/client/react", replacement: path(`${sdk}/react.ts`) },
      { find: "@roomcast/client", replacement: path(`${sdk}/index.ts`) },
    ],
    dedupe: ["react", "react-dom"],
  },
  build: {
    outDir: path("../../crates/gateway/web"),
    // `/client.js` of the SDK lies in the same folder.
    emptyOutDir: false,
    target: "es2022",
    // The page's policy allows no inline module and no `data:` script.
    modulePreload: false,
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    rollupOptions: {
      output: {
        entryFileNames: "demo.js",
        assetFileNames: (asset) => (asset.names.some((name) => name.endsWith(".css")) ? "demo.css" : "[name][extname]"),
        codeSplitting: false,
      },
    },
  },
  server: { host: "127.0.0.1", proxy: { "/ws": { target: node, ws: true }, "/v1": { target: node } } },
  // Whole pages are drawn: on a busy machine that takes longer than the 5 s of a test by default.
  test: { environment: "happy-dom", maxWorkers: 2, testTimeout: 30_000, include: ["test/**/*.test.{ts,tsx}"] },
});
