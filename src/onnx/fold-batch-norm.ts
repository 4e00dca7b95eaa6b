import type { HostArray } from "../base/dtype.js";
import { type RewriteRule, rewrite } from "../graph/rewrite.js";
import type { Tensor } from "../graph/tensor.js";
import { Variable } from "../graph/variable.js";
import { type ConvAttributes, conv } from "../ops/conv.js";
import { batchNorm } from "../ops/normalize.js";

/** Results by name, and the variables by name that they may read. */
export interface NamedGraph {
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly variables: ReadonlyMap<string, Variable>;
}

/**
 * Merges each normalization by running statistics into the convolution before it, where nothing else reads the convolution's result:
 * weight' = weight * s and bias' = (bias - mean) * s + shift, s = scale / sqrt(variance + epsilon). The merged weight keeps the name of
 * the convolution's.
 */
export function foldBatchNorm(graph: NamedGraph): NamedGraph {
  const nameOf = new Map<Tensor, string>([...graph.variables].map(([name, variable]) => [variable, name]));
  const merged = new Map<string, Variable>();
  const rule: RewriteRule = (call, uses) => {
    const [x] = call.inputs;
    if (call.op !== batchNorm || x?.op !== conv || uses(x) > 1) return undefined;
    const values = [...x.inputs.slice(1), ...call.inputs.slice(1)];
    const name = nameOf.get(x.inputs[1]!);
    if (name === undefined || !values.every((value) => value instanceof Variable)) return undefined;
    const [weight, bias] = mergedValues(x, call);
    const leaf = (leafName: string, shape: readonly number[], data: Float32Array) => {
      const variable = fixed(shape, data);
      merged.set(unusedName(leafName, merged), variable);
      return variable;
    };
    const channels = weight.shape[0]!;
    return conv(
      x.inputs[0]!,
      leaf(name, weight.shape, weight.data),
      leaf(name.replace(/weight$/, "bias"), [channels], bias),
      x.attributes as ConvAttributes,
    );
  };
  const outputs = rewrite([...graph.outputs.values()], [rule]);
  const others = [...graph.variables].map(
    ([name, variable]) => [unusedName(name, merged), variable] as const,
  );
  return {
    outputs: new Map([...graph.outputs.keys()].map((name, index) => [name, outputs[index]!])),
    variables: new Map([...merged, ...others]),
  };
}

/** Weight and bias of a convolution and the normalization after it in one, computed in double precision. */
function mergedValues(convolution: Tensor, normalization: Tensor) {
  const [weight, bias] = convolution.inputs.slice(1) as Variable[];
  const [scale, shift, mean, variance] = normalization.inputs
    .slice(1)
    .map((leaf) => (leaf as Variable).value);
  const { epsilon } = normalization.attributes as { epsilon: number };
  const channels = weight!.shape[0]!;
  const at = (values: HostArray | undefined, index: number) => Number(values?.[index] ?? 0);
  const factor = Float64Array.from(
    { length: channels },
    (_, channel) => at(scale, channel) / Math.sqrt(at(variance, channel) + epsilon),
  );
  return [
    { shape: weight!.shape, data: scaledRows(weight!.value as Float32Array, factor) },
    Float32Array.from(
      factor,
      (s, channel) => (at(bias?.value, channel) - at(mean, channel)) * s + at(shift, channel),
    ),
  ] as const;
}

/** The rows of a matrix, each times its factor. */
function scaledRows(matrix: Float32Array, factors: Float64Array): Float32Array {
  const scaled = new Float32Array(matrix.length);
  const width = matrix.length / factors.length;
  for (const [row, factor] of factors.entries()) {
    for (let index = row * width; index < (row + 1) * width; index++) scaled[index] = matrix[index]! * factor;
  }
  return scaled;
}

function fixed(shape: readonly number[], data: Float32Array): Variable {
  const variable = new Variable({ shape, trainable: false, initializer: () => {} });
  variable.value = data;
  return variable;
}

function unusedName(name: string, taken: ReadonlyMap<string, unknown>): string {
  let unused = name;
  for (let count = 2; taken.has(unused); count++) unused = `${name}#${count}`;
  return unused;
}
