import type { Env } from "onnxruntime-common";
import { DeviceError } from "../base/errors.js";
import type { DeviceName } from "./devices.js";
import type { DeviceInspection, LoadedOrt, OrtModule, Platform } from "./platform.js";
import { recordPlacement } from "./web-placement.js";
import type { WorkerSettings } from "./web-settings.js";

/** What is used of onnxruntime-web. */
interface WebOrtModule extends OrtModule {
  readonly env: OrtModule["env"] & Pick<Env, "versions" | "wasm">;
}

/** The builds of onnxruntime-web, each loaded when its device is first asked for. */
const builds = {
  wasm: (): Promise<WebOrtModule> => import("onnxruntime-web/wasm"),
  webgpu: (): Promise<WebOrtModule> => import("onnxruntime-web/webgpu"),
} as const;

type WebDevice = keyof typeof builds;

const isolationNote =
  "one thread, because the page is not cross-origin isolated: serve it with the headers " +
  "'Cross-Origin-Opener-Policy: same-origin' and 'Cross-Origin-Embedder-Policy: require-corp' for more";

/** A browser: onnxruntime-web with WebAssembly for the CPU, and WebGPU. */
export function webPlatform(settings: WorkerSettings): Platform {
  const isolated = globalThis.crossOriginIsolated === true;
  const usual = Math.min(4, Math.ceil((globalThis.navigator?.hardwareConcurrency ?? 1) / 2));
  const threads = isolated ? (settings.threads ?? usual) : 1;
  const loaded = new Map<WebDevice, LoadedOrt & { readonly ort: WebOrtModule }>();

  const load = async (device: WebDevice, wanted: number | undefined) => {
    const known = loaded.get(device);
    const count = isolated ? (wanted ?? known?.threads ?? threads) : 1;
    if (known !== undefined) {
      if (known.threads !== count) {
        throw new DeviceError(
          `threads is ${count}, but WebAssembly has been started with ${known.threads}; in a browser all sessions have the same`,
        );
      }
      return known;
    }
    const ort = await builds[device]().catch((cause: unknown) => {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new DeviceError(
        `onnxruntime-web/${device} cannot be loaded (${reason}). Install it with 'npm install onnxruntime-web@1.30'`,
        { cause },
      );
    });
    if (device === "wasm" && !isolated && (wanted ?? settings.threads) !== 1) {
      console.info(`fovea: WebAssembly runs on ${isolationNote}`);
    }
    ort.env.wasm.numThreads = count;
    const file = settings.wasmFiles[device];
    if (file !== undefined) ort.env.wasm.wasmPaths = { wasm: file };
    const entry = { ort, threads: count, writesTargets: false };
    loaded.set(device, entry);
    return entry;
  };

  const threadNote = isolated ? undefined : isolationNote;
  return {
    devices: ["wasm", "webgpu"],
    threads,
    candidates: (request) => {
      if (request === "cuda") return [];
      if (request === "auto") return ["webgpu", "wasm"];
      return [request === "cpu" ? "wasm" : request];
    },
    explain: (request) => {
      if (request === "cuda") return "browsers have no CUDA; use 'webgpu'";
      const meaning = request === "cpu" ? "WebAssembly is the CPU of a browser" : undefined;
      const notes = [meaning, request === "webgpu" ? undefined : threadNote];
      return notes.filter((note) => note !== undefined).join("; ") || undefined;
    },
    load: (device, wanted) => load(webDevice(device), wanted),
    inspect: async (device) =>
      device === "webgpu" ? inspectWebGpu() : { available: true, ...note(threadNote) },
    remedy: (device) =>
      device === "webgpu"
        ? "Try another browser, or use 'wasm'"
        : "See whether the page may load ONNX Runtime's .wasm file (configureWeb({ wasmPaths }))",
    describe: async () => {
      const { env } = (await load("wasm", undefined)).ort;
      return { version: env.versions.web ?? env.versions.common, providers: ["wasm", "webgpu"] };
    },
    recordPlacement,
  };
}

function note(text: string | undefined): { readonly note?: string } {
  return text === undefined ? {} : { note: text };
}

function webDevice(device: DeviceName): WebDevice {
  if (device === "wasm" || device === "webgpu") return device;
  throw new DeviceError(`a browser has no device '${device}'`);
}

async function inspectWebGpu(): Promise<DeviceInspection> {
  const { gpu } = globalThis.navigator as { readonly gpu?: GPU };
  if (gpu === undefined) {
    return {
      available: false,
      reason: "this browser has no WebGPU, or the page is not served over https or from localhost",
    };
  }
  const adapter = await gpu.requestAdapter();
  if (adapter === null) return { available: false, reason: "the browser found no adapter for WebGPU" };
  const { vendor, architecture, description, isFallbackAdapter } = adapter.info;
  const name = [vendor, architecture, description].filter((part) => part).join(" ");
  return {
    available: true,
    ...note(name === "" ? undefined : name),
    ...(isFallbackAdapter || /swiftshader|llvmpipe|software/i.test(name) ? { software: true } : {}),
  };
}
