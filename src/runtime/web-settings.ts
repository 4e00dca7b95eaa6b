/** How sessions run in a browser. */
export interface WebSettings {
  /**
   * Where ONNX Runtime's `.wasm` files lie: their folder, or the address of each file by device. Relative addresses are taken from the
   * page's. By default the files lie beside the script, where bundlers put them.
   */
  readonly wasmPaths?: string | { readonly wasm?: string; readonly webgpu?: string };
  /** Threads of every session, where the page is cross-origin isolated; up to 4, half of the cores, by default. */
  readonly threads?: number;
  /** Starts the module worker of the sessions; for pages that have to load its script in a way of their own. */
  readonly createWorker?: () => Worker;
}

/** What the worker has to know; sent to it before the first request. */
export interface WorkerSettings {
  /** Full address of the `.wasm` file, by device. */
  readonly wasmFiles: { readonly wasm?: string; readonly webgpu?: string };
  readonly threads: number | undefined;
}

/** Names of the `.wasm` files of onnxruntime-web, by device. */
export const wasmFileNames = {
  wasm: "ort-wasm-simd-threaded.wasm",
  webgpu: "ort-wasm-simd-threaded.asyncify.wasm",
} as const;

/** The settings with addresses that mean the same everywhere. */
export function workerSettings({ wasmPaths, threads }: WebSettings, base: string): WorkerSettings {
  const paths =
    typeof wasmPaths === "string"
      ? { wasm: inFolder(wasmPaths, wasmFileNames.wasm), webgpu: inFolder(wasmPaths, wasmFileNames.webgpu) }
      : (wasmPaths ?? {});
  const wasmFiles = Object.entries(paths).map(([device, path]) => [device, new URL(path, base).href]);
  return { wasmFiles: Object.fromEntries(wasmFiles), threads };
}

function inFolder(folder: string, file: string): string {
  return `${folder.replace(/\/$/, "")}/${file}`;
}
