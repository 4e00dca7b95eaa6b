import type { InferenceSession } from "onnxruntime-common";
import { checkInteger } from "../base/check.js";
import { DeviceError, OptionError } from "../base/errors.js";
import { deviceNames, type SessionOptions } from "./types.js";

const optimizationLevels = ["disabled", "basic", "extended", "all"] as const;

/**
 * Options of ONNX Runtime for a session.
 *
 * Memory patterns are off: they take a third to a half more memory and save no time. The arena is on: without it a step
 * spends its time in page faults. Parallel execution of nodes is twice as slow.
 * @throws DeviceError for a device without sessions; OptionError
 */
export function checkedSessionOptions(
  options: SessionOptions,
  defaultThreads: number,
  profile: string | undefined,
): InferenceSession.SessionOptions {
  const {
    name = "session",
    device = "cpu",
    threads = defaultThreads,
    graphOptimizationLevel = "all",
  } = options;
  if (device !== "cpu") {
    const known = (deviceNames as readonly string[]).includes(device);
    throw new DeviceError(
      known
        ? `${name}: device '${device}' cannot run sessions yet; available is: cpu`
        : `${name}: device '${device}' is unknown; known are: ${deviceNames.join(", ")}`,
    );
  }
  checkInteger(name, "threads", threads, { min: 1, max: 1024 });
  if (!optimizationLevels.includes(graphOptimizationLevel)) {
    throw new OptionError(
      `${name}: graphOptimizationLevel is '${graphOptimizationLevel}'; expected ${optimizationLevels.join(", ")}`,
    );
  }
  return {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel,
    enableMemPattern: false,
    enableCpuMemArena: true,
    logId: name,
    logSeverityLevel: 4,
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
    extra: {
      session: {
        intra_op: { allow_spinning: (options.spinning ?? true) ? "1" : "0" },
        disable_prepacking: (options.prepacking ?? true) ? "0" : "1",
      },
    },
  };
}
