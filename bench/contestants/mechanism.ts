import { namedParameters, trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { mul } from "../../src/ops/arithmetic.js";
import { gradientsOfMany } from "../../src/ops/gradients.js";
import { matmul } from "../../src/ops/matmul.js";
import { mechanismCase } from "../suite/mechanism-case.js";
import type { MechanismWork, ReferenceWork } from "../suite/work.js";
import { bytesOf, residentSession } from "./resident-session.js";
import type { ReadyWork } from "./serve.js";

type Tensors = Readonly<Record<string, Tensor>>;

/** A mechanism alone: forward in evaluation mode, or outputs and gradients in training mode. */
export async function prepareMechanism(work: MechanismWork, threads: number): Promise<ReadyWork> {
  const start = performance.now();
  const { module, inputs, forward } = mechanismCase(work);
  const parameters = [...namedParameters(module).values()];
  const input = Object.entries(inputs)
    .map(([name, { shape }]) => `${name} [${shape.join(", ")}]`)
    .join(", ");
  const floats = (tensors: Tensors) => Object.values(tensors).filter(({ dtype }) => dtype === "float32");
  const named = (name: string, tensors: readonly Tensor[]) =>
    tensors.map((tensor, index) => [`${name}${index}`, tensor] as const);

  const evaluation = trace(
    (leaves: Tensors) => Object.fromEntries(named("y", floats(forward(leaves)))),
    inputs,
    { model: module },
  );
  const results = [...evaluation.outputs.values()];
  const given = [...evaluation.inputs.values()];
  // A pass reads its inputs and weights and writes its outputs, each once.
  const forwardBytes = bytesOf([...given, ...parameters, ...results]);
  if (work.pass === "forward") {
    const session = await residentSession(evaluation, { weights: "constant", threads });
    await session.run();
    return { ...session, first: performance.now() - start, bytes: forwardBytes, input };
  }

  const cotangents = named("cotangent", results).map(([name, { shape }]) => [name, { shape }] as const);
  const training = trace(
    (leaves: Tensors) => {
      const own = Object.fromEntries(Object.keys(inputs).map((name) => [name, leaves[name]!]));
      const outputs = floats(forward(own));
      const slopes = gradientsOfMany(
        outputs.map((output, index) => ({ output, cotangent: leaves[`cotangent${index}`]! })),
        [...floats(own), ...parameters],
      );
      return Object.fromEntries([...named("y", outputs), ...named("gradient", slopes)]);
    },
    { ...inputs, ...Object.fromEntries(cotangents) },
    { model: module, training: true },
  );
  const session = await residentSession(training, { weights: "state", threads });
  await session.run();
  // The way back comes after the whole way forth: it reads inputs and weights again, reads the cotangents, writes the gradients.
  const backwardBytes = bytesOf([...given, ...parameters, ...results]) + bytesOf([...given, ...parameters]);
  return { ...session, first: performance.now() - start, bytes: forwardBytes + backwardBytes, input };
}

/** Products and copies in a row, so that a call's fixed cost does not count. */
const [products, copies] = [2, 8];

/** What the machine can do at most: products of square matrices, and a tensor read and written. */
export async function prepareReference(
  { measure, elements }: ReferenceWork,
  threads: number,
): Promise<ReadyWork> {
  const start = performance.now();
  const side = Math.round(Math.sqrt(elements));
  const shape = measure === "product" ? [side, side] : [elements];
  const chain = (x: Tensor) => {
    const steps = Array.from({ length: measure === "product" ? products : copies });
    return steps.reduce<Tensor>(
      (value, _, index) => (measure === "product" ? matmul(value, x) : mul(value, index % 2 ? 2 : 0.5)),
      x,
    );
  };
  const session = await residentSession(trace(chain, { shape }), { weights: "constant", threads });
  await session.run();
  const bytes = measure === "copy" ? copies * 2 * 4 * elements : 0;
  return { ...session, first: performance.now() - start, bytes };
}
