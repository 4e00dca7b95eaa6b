import { DeviceError } from "../base/errors.js";
import type { OrtModule } from "./platform.js";
import type { RuntimeInfo } from "./types.js";

/** What is used of onnxruntime-node. */
export interface NodeOrtModule extends OrtModule {
  readonly env: OrtModule["env"] & { readonly versions: { readonly node?: string; readonly common: string } };
  /** Providers of the native library; `bundled` where nothing else has to be installed. */
  listSupportedBackends(): readonly { readonly name: string; readonly bundled: boolean }[];
}

/** Loads onnxruntime-node, which is an optional dependency. @throws DeviceError that names the remedy */
export async function loadNodeRuntime(importModule: () => Promise<NodeOrtModule>): Promise<NodeOrtModule> {
  try {
    return await importModule();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DeviceError(
      `onnxruntime-node is missing or broken on ${process.platform}-${process.arch} (${reason}). ` +
        "Install it with 'npm install onnxruntime-node@1.30' and ONNXRUNTIME_NODE_INSTALL=skip in the environment",
      { cause },
    );
  }
}

/** Version and providers of an onnxruntime-node that was loaded. */
export function describeNodeRuntime(ort: NodeOrtModule): Pick<RuntimeInfo, "version" | "providers"> {
  const bundled = ort.listSupportedBackends().filter((backend) => backend.bundled);
  return {
    version: ort.env.versions.node ?? ort.env.versions.common,
    providers: bundled.map(({ name }) => name),
  };
}
