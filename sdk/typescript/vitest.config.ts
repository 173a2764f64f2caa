// Unit tests: fake timers and the fake server, no network. Those that need a node say so and are run apart.
import { defineConfig } from "vitest/config";

export default defineConfig({ test: { include: ["test/**/*.test.ts"], testTimeout: 10_000 } });
