import { expect, it } from "vitest";
import { workerSettings } from "../../src/runtime/web-settings.js";

const base = "https://example.org/app/page.html?x=1";

it("leaves the .wasm files beside the script unless told", () => {
  expect(workerSettings({}, base)).toEqual({ wasmFiles: {}, threads: undefined });
});

it("finds the files in a folder, taken from the page's address", () => {
  for (const wasmPaths of ["./wasm", "./wasm/", "/app/wasm"]) {
    expect(workerSettings({ wasmPaths, threads: 2 }, base)).toEqual({
      wasmFiles: {
        wasm: "https://example.org/app/wasm/ort-wasm-simd-threaded.wasm",
        webgpu: "https://example.org/app/wasm/ort-wasm-simd-threaded.asyncify.wasm",
      },
      threads: 2,
    });
  }
});

it("takes addresses file by file", () => {
  expect(
    workerSettings({ wasmPaths: { webgpu: "https://cdn.example.org/gpu.wasm" } }, base).wasmFiles,
  ).toEqual({ webgpu: "https://cdn.example.org/gpu.wasm" });
});
