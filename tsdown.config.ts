import { defineConfig } from "tsdown";
import ts from "typescript";
import manifest from "./package.json" with { type: "json" };

/** What an entry of `exports` names: a file, or files by condition. */
type Target = string | { readonly [condition: string]: Target };

/** The sources of the declaration files that `exports` names. */
function sourcesOf(target: Target): string[] {
  if (typeof target !== "string") return Object.values(target).flatMap(sourcesOf);
  return target.endsWith(".d.ts") ? [target.replace("./dist/", "src/").replace(".d.ts", ".ts")] : [];
}

/** A source without the samples of its operators. */
function withoutSamples(code: string): string {
  const source = ts.createSourceFile("operators.ts", code, ts.ScriptTarget.Latest, true);
  const samples: ts.Expression[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAssignment(node) && node.name.getText() === "samples") samples.push(node.initializer);
    else ts.forEachChild(node, visit);
  };
  visit(source);
  return samples.reduceRight((text, { pos, end }) => `${text.slice(0, pos)} []${text.slice(end)}`, code);
}

const library = sourcesOf(manifest.exports);

export default defineConfig({
  // Beside the library: the command, and the workers, which are started by their files' names.
  entry: [...library, "src/cli/main.ts", "src/runtime/node-worker.ts", "src/runtime/web-worker.ts"],
  // A file per module: a bundler takes the modules that are used, and no other mechanism comes along.
  unbundle: true,
  format: "esm",
  platform: "neutral",
  target: "es2023",
  dts: { entry: library },
  deps: { skipNodeModulesBundle: true, neverBundle: [/^node:/] },
  plugins: [
    {
      // Defining an operator registers it and does nothing else: bundlers may drop those that are not used. Its samples are for the tests.
      name: "lean-operators",
      transform: {
        filter: { id: /[\\/]src[\\/]ops[\\/]/ },
        handler: (code) => withoutSamples(code).replaceAll("= defineOp(", "= /* @__PURE__ */ defineOp("),
      },
    },
  ],
});
