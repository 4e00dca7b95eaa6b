import type { HostTensor } from "../base/dtype.js";
import { FoveaError } from "../base/errors.js";
import { ancestors } from "./ancestors.js";
import type { InputType } from "./model.js";
import type { Operator, TensorType } from "./operator.js";
import { Tensor } from "./tensor.js";
import { currentScope, requireTrace } from "./trace.js";
import { Variable } from "./variable.js";

/** What runs on the host between two parts of a graph. Tensors come and go by name. */
export type HostFunction = (
  tensors: Readonly<Record<string, HostTensor>>,
) => Readonly<Record<string, HostTensor>> | Promise<Readonly<Record<string, HostTensor>>>;

/** One call of the host within a graph. */
export interface HostCall {
  readonly run: HostFunction;
  /** What the function takes. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** What it gives: leaves of the graph. */
  readonly results: ReadonlyMap<string, Tensor>;
  /** Path of the module that made it; empty outside of modules. */
  readonly scope: string;
}

const calls = new WeakMap<Tensor, HostCall>();

const hostResultOp: Operator = {
  opName: "hostCall",
  definition: {
    type: (_inputs, attributes) => attributes as unknown as TensorType,
    onnx: (_emit, _inputs, { output }) => {
      throw new FoveaError(
        `hostCall${output.scope && ` (in ${output.scope})`}: what depends on a function of the host cannot be an ONNX model; ` +
          "export what comes before the call",
      );
    },
    macs: 0,
    samples: [],
  },
  apply() {
    throw new FoveaError("hostCall is a leaf and cannot be applied");
  },
};

/**
 * Lets the host decide in the middle of a graph: an assignment, a sort of varying length, a lookup. `run`, `compile`, `fit` and `Trainer`
 * compute the tensors, await the function, and go on with what it gives. Parameters, buffers and random numbers are the same before and
 * after the call, which itself has no gradient. Such a graph cannot be exported.
 * @param fn gets the tensors' values; it may be asynchronous, and its results must have the declared dtypes and shapes
 * @param types of the results; a size that only the function knows is the symbolic `batch`
 * @returns the results by name
 * @throws FoveaError outside of a trace
 */
export function hostCall<R extends string>(
  fn: HostFunction,
  tensors: Readonly<Record<string, Tensor>>,
  types: Readonly<Record<R, InputType>>,
): Record<R, Tensor> {
  const trace = requireTrace("hostCall");
  const scope = currentScope();
  const results = Object.entries<InputType>(types).map(([name, { shape, dtype = "float32" }]) => {
    const attributes = { shape, dtype };
    return [name, new Tensor({ op: hostResultOp, inputs: [], attributes, shape, dtype, scope })] as const;
  });
  const call: HostCall = {
    run: fn,
    tensors: new Map(
      Object.entries(tensors).map(([name, tensor]) => [
        name,
        (tensor instanceof Variable && trace.updates.get(tensor)) || tensor,
      ]),
    ),
    results: new Map(results),
    scope,
  };
  for (const [, result] of results) calls.set(result, call);
  return Object.fromEntries(results) as Record<R, Tensor>;
}

/** The host calls that tensors depend on, in an order in which they can be made. */
export function hostCallsOf(roots: Iterable<Tensor>): readonly HostCall[] {
  const found = new Map<HostCall, number>();
  const pending = [...roots];
  while (pending.length > 0) {
    const reached = ancestors(pending.splice(0));
    for (const tensor of reached) {
      const call = calls.get(tensor);
      if (!call || found.has(call)) continue;
      // Ids grow from what is taken to what is given.
      found.set(call, tensor.id);
      pending.push(...call.tensors.values());
    }
  }
  return [...found].sort(([, a], [, b]) => a - b).map(([call]) => call);
}

/** Tensors, and what the host calls take that they depend on. */
export function withHostCalls(roots: Iterable<Tensor>): Tensor[] {
  const own = [...roots];
  return [...own, ...hostCallsOf(own).flatMap((call) => [...call.tensors.values()])];
}
