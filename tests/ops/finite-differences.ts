import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { fillNormal, randomInteger, randomUniform } from "../../src/base/random.js";
import type { Target } from "../../src/graph/emitter.js";
import { input } from "../../src/graph/leaf.js";
import { concreteShape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { gradientsOfMany } from "../../src/ops/gradients.js";
import { cpu, leavesOf, load, numbers } from "./evaluate.js";

/** The derivative of L = sum of cotangent * output along a direction in one input, from the gradient and measured. */
export interface DirectionalDerivative {
  readonly input: number;
  readonly fromGradient: number;
  readonly measured: number;
  /** What rounding and the step's size explain. */
  readonly tolerance: number;
}

export type GradientRule = (
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  cotangents: readonly Tensor[],
) => readonly Tensor[];

/**
 * Step of the central differences. Their truncation error is step^2 / 6 times the third derivative (1e-4 relative for
 * the steepest domain, 1 / x at 0.5); rounding of float32 results gives 2^-24 / step = 1.5e-5 of the size of L's terms.
 */
const step = 2 ** -8;
const truncation = 1e-3;
const rounding = 2 ** -21;

/** True where the gradient explains what was measured. */
export function agrees({ fromGradient, measured, tolerance }: DirectionalDerivative): boolean {
  return Math.abs(fromGradient - measured) <= tolerance;
}

/**
 * Directional derivatives of a function, one per float32 input: two runs each, compared in float64 from float32 outputs.
 * The direction goes with the signs of the gradient, so that no cancellation hides an error of a few per cent; its
 * magnitudes are random, so that misplaced and missing terms do not cancel.
 */
export async function directionalDerivatives(
  body: (inputs: readonly Tensor[]) => readonly Tensor[],
  values: readonly HostTensor[],
  options: { readonly target?: Target; readonly gradient?: GradientRule } = {},
): Promise<DirectionalDerivative[]> {
  const leaves = leavesOf(values);
  const outputs = body(leaves);
  const cotangents = outputs.map((output, index) => {
    const shape = concreteShape(output.shape);
    const data = new Float32Array(elementCount(shape));
    fillNormal(data, { seed: 2, stream: "cotangent", step: index });
    return { leaf: input(`cotangent${index}`, shape), value: { dtype: "float32", shape, data } as const };
  });
  const symbolic = cotangents.map(({ leaf }) => leaf);
  const rule: GradientRule =
    options.gradient ??
    ((wrt, results, parts) =>
      gradientsOfMany(
        results.map((output, index) => ({ output, cotangent: parts[index]! })),
        wrt,
      ));
  const varied = leaves.filter((leaf) => leaf.dtype === "float32");
  const gradients = rule(varied, outputs, symbolic);
  const computation = await load(
    [...leaves, ...symbolic],
    Object.fromEntries([
      ...outputs.map((output, index) => [`y${index}`, output] as const),
      ...gradients.map((gradient, index) => [`gradient${index}`, gradient] as const),
    ]),
    options.target ?? cpu,
  );
  const feeds = cotangents.map(({ value }) => value);
  const base = await computation.run([...values, ...feeds]);
  const terms = (results: Record<string, HostTensor>) =>
    feeds.flatMap(({ data }, index) =>
      numbers(results[`y${index}`]!).map((y, position) => y * data[position]!),
    );
  const noise = (rounding / step) * Math.hypot(...terms(base));
  const derivatives: DirectionalDerivative[] = [];
  for (const [index, leaf] of varied.entries()) {
    const gradient = base[`gradient${index}`]!;
    if (gradient.shape.join() !== leaf.shape.join()) {
      throw new Error(`gradient of input [${leaf.shape}] has shape [${gradient.shape}]`);
    }
    const at = leaves.indexOf(leaf);
    const moved = directions(values[at]!, numbers(gradient), at);
    const results: number[][] = [];
    for (const value of moved) {
      results.push(terms(await computation.run([...values.with(at, value), ...feeds])));
    }
    const [minus, plus] = moved.map(({ data }) => data) as [Float32Array, Float32Array];
    // The steps as float32 took them.
    const parts = numbers(gradient).map((slope, position) => slope * (plus[position]! - minus[position]!));
    const fromGradient = total(parts) / (2 * step);
    const measured = (total(results[1]!) - total(results[0]!)) / (2 * step);
    const scale = total(parts.map(Math.abs)) / (2 * step);
    derivatives.push({ input: at, fromGradient, measured, tolerance: truncation * scale + noise });
  }
  await computation.close();
  return derivatives;
}

function total(terms: readonly number[]): number {
  return terms.reduce((sum, term) => sum + term, 0);
}

/** The value a step before and a step after. */
function directions(value: HostTensor, gradient: readonly number[], at: number): HostTensor[] {
  const key = { seed: 3, stream: "direction", step: at };
  const direction = gradient.map((slope, position) => {
    const sign = Math.sign(slope) || (randomInteger(key, 2 * position, 2) === 0 ? -1 : 1);
    return sign * (0.5 + randomUniform(key, 2 * position + 1));
  });
  return [-step, step].map((length) => ({
    ...value,
    data: (value.data as Float32Array).map((x, position) => x + length * direction[position]!),
  }));
}
