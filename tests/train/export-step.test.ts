import { expect, test } from "vitest";
import { fillBernoulli } from "../../src/base/bernoulli.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { OptionError } from "../../src/base/errors.js";
import { fillNormal } from "../../src/base/random.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { batchTypes, type TrainingBatch } from "../../src/train/data.js";
import { exportTrainingStep } from "../../src/train/export-step.js";
import { crossEntropy } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { adamW, type Optimizer, sgd } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";
import { floats, labels, SmallClassifier } from "./helpers.js";

const learningRate = 0.05;
const seed = 7;

function sampleBatch(step: number): TrainingBatch {
  const x = new Float32Array(6 * 12);
  fillNormal(x, { seed: 1, stream: "x", step });
  return { x: floats([6, 3, 2, 2], x), y: labels([0, 1, 2, 0, 1, 2]) };
}

function stepOptions(optimizer: Optimizer) {
  const model = new SmallClassifier();
  return {
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: batchTypes(sampleBatch(0)),
    optimizer,
    ema: { decay: 0.9 },
    seed,
  };
}

/** Runs an exported step as its description says, with nothing but its bytes. */
async function runExported(optimizer: Optimizer, steps: number, opset: number): Promise<number[]> {
  const { bytes, inputs, outputs, initial } = exportTrainingStep({ ...stepOptions(optimizer), opset });
  const session = await defaultRuntime().createSession(bytes);
  const state = new Map(initial);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const scalars: Record<string, number> = {
      "scalar:learningRate": learningRate,
      "scalar:averageRate": 0.1,
      ...Object.fromEntries(
        Object.entries(optimizer.scalars(step)).map(([name, value]) => [`scalar:${name}`, value]),
      ),
    };
    const batch = sampleBatch(step);
    const feed: Record<
      (typeof inputs)[number]["role"],
      (name: string, shape: readonly number[]) => HostTensor
    > = {
      batch: (name) => batch[name.slice("batch:".length)]!,
      state: (name) => state.get(name)!,
      scalar: (name) => floats([], [scalars[name]!]),
      noise: (name, shape) => {
        const data = new Uint8Array(shape.reduce((product, size) => product * size, 1));
        fillBernoulli(data, { seed, stream: name.slice("noise:".length), step }, 0.8);
        return { dtype: "bool", shape, data };
      },
    };
    const results = await session.run(
      Object.fromEntries(inputs.map(({ name, role, shape }) => [name, feed[role](name, shape)])),
    );
    losses.push(Number(results.loss!.data[0]));
    for (const { name, feeds } of outputs) if (feeds !== undefined) state.set(feeds, results[name]!);
  }
  await session.close();
  return losses;
}

async function runTrainer(optimizer: Optimizer, steps: number): Promise<number[]> {
  const trainer = await Trainer.create({ ...stepOptions(optimizer), schedule: learningRate });
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) losses.push((await trainer.step(sampleBatch(step))).loss);
  await trainer.close();
  return losses;
}

test.each([
  ["SGD", sgd({ momentum: 0.9, nesterov: true, weightDecay: 1e-3 }), 18],
  ["AdamW", adamW(), 21],
] as const)("an exported step of %s trains as the trainer does", async (_, optimizer, opset) => {
  const [exported, trained] = await Promise.all([runExported(optimizer, 5, opset), runTrainer(optimizer, 5)]);
  expect(trained[4]).not.toBe(trained[0]);
  for (const [step, loss] of trained.entries()) expect(exported[step]).toBeCloseTo(loss, 5);
});

test("every input and output is described, and all operators are standard", () => {
  const { bytes, inputs, outputs, initial } = exportTrainingStep(stepOptions(adamW()));
  const model = decodeModel(bytes);
  expect(model.nodes.filter(({ domain }) => domain !== "")).toEqual([]);
  expect([...model.opsets]).toEqual([["", 20]]);
  expect(inputs.map(({ name }) => name)).toEqual(model.inputs.map(({ name }) => name));
  const roles = (role: string) => inputs.filter((input) => input.role === role).map(({ name }) => name);
  expect(roles("batch")).toEqual(["batch:x", "batch:y"]);
  expect(inputs.filter(({ role }) => role === "noise")).toMatchObject([
    { distribution: { bernoulli: 0.8 }, dtype: "bool", shape: [6, 8] },
  ]);
  expect(roles("scalar").sort()).toEqual([
    "scalar:averageRate",
    "scalar:firstCorrection",
    "scalar:learningRate",
    "scalar:secondCorrection",
  ]);
  expect(roles("state").sort()).toEqual([...initial.keys()].sort());
  const fed = outputs.flatMap(({ feeds }) => feeds ?? []);
  expect(fed.sort()).toEqual(roles("state").sort());
  expect(outputs.filter(({ role }) => role !== "state").map(({ name, role }) => [name, role])).toEqual([
    ["loss", "loss"],
    ["gradientNorm", "gradient-norm"],
    ["metric:accuracy", "metric"],
  ]);
});

test("another operator set is refused", () => {
  expect(() => exportTrainingStep({ ...stepOptions(sgd()), opset: 13 })).toThrow(OptionError);
});
