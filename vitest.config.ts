import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // Worker threads started by a test inherit the loader and so run the TypeScript sources.
    setupFiles: ["tests/setup.ts"],
    pool: "forks",
    execArgv: ["--import", new URL("./scripts/typescript.mjs", import.meta.url).href],
    testTimeout: 60_000,
  },
});
