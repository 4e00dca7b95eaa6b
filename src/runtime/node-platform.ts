import { readdir, readFile, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { DeviceError } from "../base/errors.js";
import type { DeviceName } from "./devices.js";
import { describeNodeRuntime, loadNodeRuntime, type NodeOrtModule } from "./node-ort.js";
import { findTargetWriter } from "./node-target-writer.js";
import type { PlacementRecorder, Platform, TargetWriter } from "./platform.js";
import { placementOfProfile } from "./profile-placement.js";

/** Node.js: the native ONNX Runtime of the package onnxruntime-node serves every device. */
export function nodePlatform(importModule: () => Promise<NodeOrtModule>): Platform {
  let loaded: NodeOrtModule | undefined;
  let writer: Promise<TargetWriter | undefined> | undefined;
  const load = async () => {
    loaded ??= await loadNodeRuntime(importModule);
    return loaded;
  };
  return {
    devices: ["cpu", "webgpu", "cuda"],
    threads: availableParallelism(),
    candidates: (request) => {
      if (request === "wasm") return [];
      return request === "auto" ? ["cuda", "cpu"] : [request];
    },
    explain: (request) =>
      request === "wasm"
        ? "WebAssembly is for browsers; in Node.js use 'cpu', which is native and faster"
        : request === "auto"
          ? "webgpu is not chosen by itself in Node.js, where a software adapter looks like a GPU"
          : undefined,
    load: async () => {
      const ort = await load();
      writer ??= findTargetWriter(ort);
      return { ort, writesTargets: true, targetWriter: await writer };
    },
    inspect: async (device) => {
      const backends = (await load()).listSupportedBackends();
      return device === "cpu" || backends.some(({ name }) => name === device)
        ? { available: true }
        : {
            available: false,
            reason: `onnxruntime-node has no ${device} provider on ${process.platform}-${process.arch}`,
          };
    },
    remedy,
    describe: async () => describeNodeRuntime(await load()),
    recordPlacement,
    profileFile,
  };
}

function remedy(device: DeviceName): string {
  switch (device) {
    case "webgpu":
      return process.platform === "linux"
        ? "WebGPU needs a Vulkan driver: install the one of the GPU, or name a driver's file in VK_DRIVER_FILES"
        : "WebGPU needs a GPU with a present driver";
    case "cuda":
      return (
        "CUDA needs an NVIDIA GPU, CUDA 12 and cuDNN 9, and the provider's libraries, which the install step of " +
        "onnxruntime-node fetches: run it without ONNXRUNTIME_NODE_INSTALL=skip"
      );
    default:
      return "Install onnxruntime-node anew";
  }
}

/** A profile of the first runs tells where nodes run. */
function recordPlacement(device: DeviceName, id: number): PlacementRecorder {
  const prefix = join(tmpdir(), `fovea-placement-${process.pid}-${id}`);
  return {
    options: { enableProfiling: true, profileFilePrefix: prefix },
    result: async (session) => {
      session.endProfiling();
      const file = await profileFile(prefix);
      try {
        return placementOfProfile(await readFile(file, "utf8"), device);
      } finally {
        await rm(file, { force: true });
      }
    },
  };
}

/** ONNX Runtime appends the time to the prefix. */
async function profileFile(prefix: string): Promise<string> {
  const folder = dirname(resolve(prefix));
  const file = (await readdir(folder))
    .filter((name) => name.startsWith(`${basename(prefix)}_`))
    .sort()
    .at(-1);
  if (file === undefined) throw new DeviceError(`ONNX Runtime wrote no profile at ${prefix}`);
  return join(folder, file);
}
