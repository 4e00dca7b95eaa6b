import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    pool: "forks",
    testTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "source",
          include: ["tests/**/*.test.ts"],
          exclude: ["tests/package/**"],
          // Worker threads started by a test inherit the loader and so run the TypeScript sources.
          setupFiles: ["tests/setup.ts"],
          execArgv: ["--import", new URL("./scripts/typescript.mjs", import.meta.url).href],
        },
      },
      {
        // The package as its users get it: built, packed and installed in an empty folder.
        extends: true,
        test: {
          name: "package",
          include: ["tests/package/**/*.test.ts"],
          globalSetup: ["tests/package/install.ts"],
          hookTimeout: 300_000,
          testTimeout: 120_000,
        },
      },
    ],
  },
});
