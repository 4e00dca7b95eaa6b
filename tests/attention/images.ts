import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { fillNormal, fillUniform, permutation } from "../../src/base/random.js";
import { initialize, type Model, namedVariables } from "../../src/graph/model.js";
import { run } from "../../src/runtime/run.js";
import { numbers } from "../ops/evaluate.js";

/** Standard normal values. */
export function image(shape: readonly number[], stream = "image"): HostTensor {
  const data = new Float32Array(elementCount(shape));
  fillNormal(data, { seed: 0, stream, step: 0 });
  return { dtype: "float32", shape, data };
}

/** The same shape with every value replaced; the index is row-major. */
export function mapValues(x: HostTensor, value: (old: number, index: number) => number): HostTensor {
  return { dtype: "float32", shape: x.shape, data: Float32Array.from(numbers(x), value) };
}

/** An image of which every channel has its pixels in the same other order; pixels are the last `axes` axes. */
export function shufflePixels(x: HostTensor, axes = 2): HostTensor {
  const pixels = elementCount(x.shape.slice(-axes));
  const order = permutation(pixels, { seed: 0, stream: "pixels", step: 0 });
  const values = numbers(x);
  return mapValues(x, (_, index) => values[index - (index % pixels) + order[index % pixels]!]!);
}

/** Channel of a value of [N, C, ...]. */
export function channelOf({ shape }: HostTensor, index: number): number {
  return Math.floor(index / elementCount(shape.slice(2))) % shape[1]!;
}

/** Gives every variable random values, so that nothing keeps a special initial one; running variances are positive. */
export function randomize<M extends Model>(model: M, seed = 1): M {
  initialize(model, { seed });
  for (const [path, variable] of namedVariables(model)) {
    const data = new Float32Array(elementCount(variable.shape));
    const key = { seed, stream: path, step: 0 };
    if (path.endsWith("runningVar")) fillUniform(data, key, 0.5, 1.5);
    else if (variable.trainable || path.endsWith("runningMean")) fillNormal(data, key, 0, 0.5);
    else continue;
    variable.value = data;
  }
  return model;
}

/** Sets the values of one variable. */
export function setValues(model: Model, path: string, value: number | readonly number[]): void {
  const variable = namedVariables(model).get(path)!;
  const count = elementCount(variable.shape);
  variable.value = Float32Array.from({ length: count }, (_, index) =>
    typeof value === "number" ? value : value[index]!,
  );
}

/** The values of one tap. */
export async function tapOf(model: Model, x: HostTensor, tap = "attention"): Promise<number[]> {
  const { taps } = await run(model, x, { taps: [tap] });
  return numbers(taps[tap]!);
}

/** Largest difference of two lists of one length. */
export function distance(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return a.reduce((worst, value, index) => Math.max(worst, Math.abs(value - b[index]!)), 0);
}
