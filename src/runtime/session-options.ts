import type { InferenceSession } from "onnxruntime-common";
import { checkInteger } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import type { DeviceName } from "./devices.js";
import type { SessionOptions } from "./types.js";

const optimizationLevels = ["disabled", "basic", "extended", "all"] as const;

/** Refuses what is no option of a session. @throws OptionError */
export function checkSessionOptions({
  name = "session",
  threads,
  graphOptimizationLevel,
  profile,
  placement = false,
}: SessionOptions): void {
  if (threads !== undefined) checkInteger(name, "threads", threads, { min: 1, max: 1024 });
  if (graphOptimizationLevel !== undefined && !optimizationLevels.includes(graphOptimizationLevel)) {
    throw new OptionError(
      `${name}: graphOptimizationLevel is '${graphOptimizationLevel}'; expected ${optimizationLevels.join(", ")}`,
    );
  }
  if (placement && profile !== undefined) {
    throw new OptionError(
      `${name}: profile and placement exclude each other; the profile tells the placement`,
    );
  }
}

/** ONNX Runtime's execution provider for a device. What it has no kernel for runs on the CPU. */
export function deviceProvider(device: DeviceName): InferenceSession.ExecutionProviderConfig {
  // The default layout of WebGPU, NHWC, puts transposes around convolutions and pools.
  return device === "webgpu" ? { name: "webgpu", preferredLayout: "NCHW" } : device;
}

/**
 * Rewritings of ONNX Runtime that are left out on the CPU. Its sum with layer normalization in one operator takes four times as long there
 * as one after the other: 0.93 and 0.23 ms for [8, 196, 256]. (On WebAssembly both take as long.)
 */
const slowRewritings = "SkipLayerNormFusion";

/**
 * Options of ONNX Runtime for a session.
 *
 * Each session has threads of its own, which wait for the next operator by spinning. One session computes at a time, and the threads of
 * those before it would take the cores from it: `sharesCores` has them sleep at the end of a run. To wake them costs the next run some
 * tenths of a millisecond.
 *
 * Memory patterns are off: they take a third to a half more memory and save no time. The arena is on: without it a step
 * spends its time in page faults. Parallel execution of nodes is twice as slow.
 */
export function ortSessionOptions(
  device: DeviceName,
  threads: number,
  options: SessionOptions,
  { sharesCores }: { readonly sharesCores: boolean },
): InferenceSession.SessionOptions {
  return {
    executionProviders: [deviceProvider(device)],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: options.graphOptimizationLevel ?? "all",
    enableMemPattern: false,
    enableCpuMemArena: true,
    logId: options.name ?? "session",
    logSeverityLevel: 4,
    extra: {
      ...(device === "cpu" ? { optimization: { disable_specified_optimizers: slowRewritings } } : {}),
      session: {
        intra_op: { allow_spinning: (options.spinning ?? true) ? "1" : "0" },
        force_spinning_stop: (options.spinning ?? !sharesCores) ? "0" : "1",
        disable_prepacking: (options.prepacking ?? true) ? "0" : "1",
      },
    },
  };
}
