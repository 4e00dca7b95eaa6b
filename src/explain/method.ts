import type { HostTensor } from "../base/dtype.js";
import type { CompileOptions } from "../runtime/executable.js";
import type { Pass } from "./probe.js";
import type { ExplainableModel, Explainer, ExplainMethodName, ExplainOptions } from "./types.js";

/** What a method works on. */
export interface MethodContext {
  readonly model: ExplainableModel;
  /** [C, H, W] */
  readonly imageShape: readonly number[];
  /** A forward pass of one image that was only traced. */
  readonly pass: Pass;
  readonly options: ExplainOptions;
  /** Where the sessions run. */
  readonly session: CompileOptions;
}

/** Options that are not read by all methods, as the name of the method and those of the sessions are. */
export type MethodOption = Exclude<keyof ExplainOptions, "method" | Exclude<keyof CompileOptions, "taps">>;

/** A way to explain: a method says itself which networks it fits. */
export interface ExplainMethod {
  readonly name: ExplainMethodName;
  /** All other options are refused. */
  readonly reads: readonly MethodOption[];
  /** What the network lacks for it; undefined where it fits. */
  lacks(context: Pick<MethodContext, "model" | "pass" | "options">): string | undefined;
  create(context: MethodContext): Promise<Explainer>;
}

/** The image as a batch of one. */
export function batchOfOne({ dtype, shape, data }: HostTensor): HostTensor {
  return { dtype, shape: [1, ...shape], data };
}
