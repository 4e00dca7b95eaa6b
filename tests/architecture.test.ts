import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { allowedImports, importsOf, violations } from "./architecture.js";

const root = new URL("../src/", import.meta.url);
const sources = new Map(
  readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts"))
    .map((path) => [path, readFileSync(new URL(path, root), "utf8")]),
);

describe("the sources", () => {
  it("keep the order of layers, have no import cycle, and leave Node.js to the files for it", () => {
    expect(sources.size).toBeGreaterThan(50);
    expect(violations(sources)).toEqual([]);
  });

  it("are read as written: every layer that is not at the bottom imports another", () => {
    const folders = new Set([...sources.keys()].map((path) => path.split("/")[0]!));
    for (const layer of ["graph", "ops", "onnx", "runtime", "nn"]) {
      expect(folders).toContain(layer);
      const imports = [...sources]
        .filter(([path]) => path.startsWith(`${layer}/`))
        .flatMap(([path, source]) => importsOf(path, source));
      expect(imports.some(({ specifier }) => specifier.startsWith("../"))).toBe(true);
    }
  });
});

describe("the table of layers", () => {
  it("has an order: no layer may import one that may import it", () => {
    for (const [layer, allowed] of Object.entries(allowedImports)) {
      if (allowed === "everything") continue;
      expect(allowed).not.toContain(layer);
      for (const lower of allowed) expect(allowedImports[lower]).not.toContain(layer);
    }
  });
});

describe("the check", () => {
  const check = (files: Record<string, string>) =>
    violations(
      new Map(Object.entries({ "graph/a.ts": "", "nn/module.ts": "", "runtime/node.ts": "", ...files })),
    );

  it("passes what is right", () => {
    expect(
      check({
        "index.ts": `export * from "./graph/a.js"; import "./runtime/node.js"; import "node:fs";`,
        "ops/x.ts": `import { a } from "../graph/a.js"; import type { y } from "./y.js"; import z from "zod/mini";`,
        "ops/y.ts": `import { x } from "./x.js";`,
        "runtime/node-host.ts": `import "node:fs"; import "onnxruntime-node"; import "./node.js";`,
        "runtime/web.ts": `const ort = await import("onnxruntime-web");`,
        "runtime/types.ts": `import type { Tensor } from "onnxruntime-common";`,
        "cli/main.ts": `import "node:fs"; import "../runtime/node.js"; import "../nn/module.js";`,
      }),
    ).toEqual([]);
  });

  it.each([
    [
      "an import upwards",
      { "graph/b.ts": `import { m } from "../nn/module.js";` },
      "graph/b.ts: graph may not import nn/module.ts",
    ],
    [
      "of types too",
      { "graph/b.ts": `import type { M } from "../nn/module.js";` },
      "graph/b.ts: graph may not import nn/module.ts",
    ],
    [
      "as a type in place",
      { "graph/b.ts": `let x: import("../nn/module.js").M;` },
      "graph/b.ts: graph may not import nn/module.ts",
    ],
    [
      "re-exported",
      { "graph/b.ts": `export * from "../nn/module.js";` },
      "graph/b.ts: graph may not import nn/module.ts",
    ],
    [
      "at run time",
      { "graph/b.ts": `await import("../nn/module.js");` },
      "graph/b.ts: graph may not import nn/module.ts",
    ],
    [
      "of the package's entry",
      { "index.ts": "", "graph/b.ts": `import "../index.js";` },
      "graph/b.ts: graph may not import index.ts",
    ],
    [
      "a folder without a place",
      { "misc/b.ts": "" },
      "misc/b.ts: folder misc has no place in the order of layers",
    ],
    [
      "a cycle",
      {
        "ops/x.ts": `import "./y.js";`,
        "ops/y.ts": `import "./z.js";`,
        "ops/z.ts": `import { type X } from "./x.js";`,
      },
      "import cycle: ops/x.ts -> ops/y.ts -> ops/z.ts -> ops/x.ts",
    ],
    [
      "Node.js in a browser",
      { "nn/b.ts": `import { readFile } from "node:fs/promises";` },
      "nn/b.ts: only files for Node.js may import node:fs/promises",
    ],
    [
      "by way of another file",
      { "runtime/b.ts": `import { n } from "./node.js";` },
      "runtime/b.ts: only files for Node.js may import runtime/node.ts",
    ],
    [
      "a built-in module without its prefix",
      { "cli/b.ts": `import "fs";` },
      "cli/b.ts: fs is written with node:",
    ],
    [
      "ONNX Runtime elsewhere",
      { "onnx/b.ts": `import { Tensor } from "onnxruntime-node";` },
      "onnx/b.ts: only runtime/node* and runtime/web* may import onnxruntime-node",
    ],
    [
      "another extension",
      { "ops/b.ts": `import "../graph/a.ts";` },
      "ops/b.ts: ../graph/a.ts does not end in .js",
    ],
    ["no extension", { "ops/b.ts": `import "../graph/a";` }, "ops/b.ts: ../graph/a does not end in .js"],
    [
      "a file that is not there",
      { "ops/b.ts": `import "../graph/b.js";` },
      "ops/b.ts: ../graph/b.js is no file of src/",
    ],
  ])("finds %s", (_what, files, problem) => {
    expect(check(files)).toEqual([problem]);
  });
});
