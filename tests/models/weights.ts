import { readFileSync } from "node:fs";
import { fillNormal } from "../../src/base/random.js";
import { type Model, namedVariables } from "../../src/graph/model.js";

const folder = new URL("../fixtures/pytorch/weights/", import.meta.url);

/** A file that scripts/pytorch/weights.py wrote. */
export function weightsFixture(name: string): Buffer {
  return readFileSync(new URL(name, folder));
}

/** Gives every variable values that depend on the seed. */
export function scatter<M extends Model>(model: M, seed: number): M {
  for (const [path, variable] of namedVariables(model)) {
    const values = new Float32Array(variable.shape.reduce((count, size) => count * size, 1));
    fillNormal(values, { seed, stream: path, step: 0 });
    variable.value = values;
  }
  return model;
}

/** The values of every variable, by path. */
export function valuesOf(model: Model): Record<string, number[]> {
  return Object.fromEntries(
    [...namedVariables(model)].map(([path, { value }]) => [path, Array.from(value as Float32Array)]),
  );
}

/** Shapes by name. */
export function shapesOf(tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>) {
  return Object.fromEntries([...tensors].map(([name, { shape }]) => [name, [...shape]]));
}
