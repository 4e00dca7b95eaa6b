import { DeviceError } from "../base/errors.js";
import type { OrtModule } from "./session-host.js";
import type { DeviceStatus, RuntimeInfo } from "./types.js";

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

/** Version, providers and devices of an onnxruntime-node that was loaded. */
export function describeNodeRuntime(
  ort: NodeOrtModule,
): Pick<RuntimeInfo, "version" | "providers" | "devices"> {
  const backends = ort.listSupportedBackends();
  const devices: DeviceStatus[] = [{ device: "cpu", available: true }];
  for (const device of ["webgpu", "cuda"] as const) {
    const backend = backends.find(({ name }) => name === device);
    devices.push({
      device,
      available: false,
      reason:
        backend === undefined
          ? `onnxruntime-node has no ${device} provider on ${process.platform}-${process.arch}`
          : `${backend.bundled ? "onnxruntime-node has the provider" : "the provider's libraries have to be installed separately"}, but fovea runs no sessions on ${device} yet`,
    });
  }
  return {
    version: ort.env.versions.node ?? ort.env.versions.common,
    providers: backends.filter(({ bundled }) => bundled).map(({ name }) => name),
    devices,
  };
}
