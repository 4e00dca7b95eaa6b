// Regenerates src/onnx/generated/onnx_pb.ts from onnx.proto:  node scripts/onnx/generate.mjs
//
// onnx.proto is the file of that name in the PyPI package `onnx` 1.23.2, unchanged. The generator runs through npx, so
// that neither buf nor protoc-gen-es is a dependency; protoc-gen-es is 2.10, which runs on Node.js 20.
// `ts_nocheck` is set because the generated enums are not erasable syntax; their types are still exported.
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const template = {
  version: "v2",
  plugins: [
    {
      local: "protoc-gen-es",
      out: "../../src/onnx/generated",
      opt: ["target=ts", "import_extension=js", "ts_nocheck=true"],
    },
  ],
};
const { status, error } = spawnSync(
  "npx",
  [
    "--yes",
    "--package=@bufbuild/buf@1.75.0",
    "--package=@bufbuild/protoc-gen-es@2.10.2",
    "buf",
    "generate",
    ".",
    "--template",
    JSON.stringify(template),
  ],
  { cwd: here, stdio: "inherit" },
);
if (error) throw error;
process.exit(status ?? 1);
