import { defineConfig } from "tsdown";
import manifest from "./package.json" with { type: "json" };

/** The sources of what `exports` names. */
const library = Object.values(manifest.exports).flatMap((target) =>
  typeof target === "string" ? [] : target.types.replace("./dist/", "src/").replace(".d.ts", ".ts"),
);

export default defineConfig({
  // Beside the library: the command, and the worker, which is started by its file's name.
  entry: [...library, "src/cli/main.ts", "src/runtime/node-worker.ts"],
  // A file per module: a bundler takes the modules that are used, and no other mechanism comes along.
  unbundle: true,
  format: "esm",
  platform: "neutral",
  target: "es2023",
  dts: { entry: library },
  deps: { skipNodeModulesBundle: true, neverBundle: [/^node:/] },
  plugins: [
    {
      // Defining an operator registers it and does nothing else: bundlers may drop those that are not used.
      name: "pure-operators",
      transform: {
        filter: { id: /[\\/]src[\\/]ops[\\/]/ },
        handler: (code) => code.replaceAll("= defineOp(", "= /* @__PURE__ */ defineOp("),
      },
    },
  ],
});
