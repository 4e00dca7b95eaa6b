import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { initialize } from "../../src/graph/model.js";
import { add, mul, sub } from "../../src/ops/arithmetic.js";
import { sessionTarget } from "../../src/runtime/devices.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { batchTypes } from "../../src/train/data.js";
import { crossEntropy } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { adamW, type Optimizer, sgd } from "../../src/train/optimizers.js";
import {
  buildTrainingStep,
  initialValue,
  stepNames,
  type TrainingStep,
  type TrainingStepOptions,
} from "../../src/train/training-step.js";
import { floats, labels, SmallClassifier } from "./helpers.js";

const runtime = nodeRuntime();
const batch = {
  x: floats(
    [6, 3, 2, 2],
    Array.from({ length: 72 }, (_, index) => Math.sin(index)),
  ),
  y: labels([0, 1, 2, 0, 1, 2]),
};

function stepOf(options: Partial<TrainingStepOptions> = {}): TrainingStep {
  const model = new SmallClassifier();
  initialize(model, { seed: 1 });
  return buildTrainingStep({
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: batchTypes(batch),
    optimizer: sgd({ momentum: 0.9, weightDecay: 1e-3 }),
    ...options,
  });
}

/** Changes the weights by an average of the weights themselves: what is kept needs the weights of before. */
const followingWeights: Optimizer = {
  name: "followingWeights",
  slots: ["average"],
  weightDecay: 0,
  scalars: () => ({}),
  update: ({ parameter, gradient, slots, learningRate }) => ({
    parameter: sub(parameter, mul(gradient, learningRate)),
    slots: { average: add(mul(slots.average!, 0.9), mul(parameter, 0.1)) },
  }),
};

/** The states after some steps, each written over the one before or not. */
async function statesAfter(
  step: TrainingStep,
  overwrites: readonly string[],
): Promise<Record<string, HostTensor>> {
  const session = await runtime.createSession(step.bytes, { deviceOutputs: Object.values(step.next) });
  const state = await runtime.createState(
    Object.fromEntries(
      [...step.states].map(([name, type]) => [
        name,
        { dtype: type.dtype, shape: type.shape, data: initialValue(type) },
      ]),
    ),
  );
  const scalar = (value: number): HostTensor => ({
    dtype: "float32",
    shape: [],
    data: Float32Array.of(value),
  });
  const scalars: Record<string, HostTensor> = {
    [stepNames.learningRate]: scalar(0.1),
    [stepNames.averageRate]: scalar(0.2),
    [stepNames.scalar("firstCorrection")]: scalar(1.5),
    [stepNames.scalar("secondCorrection")]: scalar(2.5),
  };
  const fed = Object.entries({
    ...Object.fromEntries(Object.entries(batch).map(([name, tensor]) => [stepNames.batch(name), tensor])),
    ...scalars,
  });
  for (let index = 0; index < 3; index++) {
    await session.step(state, {
      feeds: Object.fromEntries(fed.filter(([name]) => step.fed.has(name))),
      fetches: [stepNames.loss],
      next: step.next,
      overwrites,
      noise: step.noise,
      seed: 0,
      step: index,
    });
  }
  const values = await state.read();
  await state.close();
  await session.close();
  return values;
}

describe("states that are written over", () => {
  const cases: readonly (readonly [string, Partial<TrainingStepOptions>])[] = [
    ["SGD with momentum and decay", {}],
    ["SGD with Nesterov momentum", { optimizer: sgd({ momentum: 0.9, nesterov: true, weightDecay: 1e-2 }) }],
    ["AdamW with a moving average", { optimizer: adamW(), ema: { decay: 0.9 } }],
    ["clipped gradients", { clip: { norm: 0.1 } }],
    ["an optimizer that looks back", { optimizer: followingWeights }],
  ];
  it.each(cases)("hold what those in a place of their own hold: %s", async (_, options) => {
    const step = stepOf(options);
    expect(step.overwrites.length).toBeGreaterThan(step.trained.length - 1);
    expect(await statesAfter(step, step.overwrites)).toEqual(await statesAfter(step, []));
  });

  it("are parameters, what the optimizer keeps, and averages; not buffers", () => {
    const { overwrites, trained } = stepOf({ optimizer: adamW(), ema: { decay: 0.9 } });
    const kinds = ["param", "optimizer.firstMoment", "optimizer.secondMoment", "ema"];
    const expected = kinds.flatMap((kind) => trained.map((path) => `${kind}.${path}`));
    expect([...overwrites].sort()).toEqual(expected.sort());
  });

  it("are none that something else reads after the new value is made", () => {
    const { overwrites, trained } = stepOf({ optimizer: followingWeights });
    expect([...overwrites].sort()).toEqual(trained.map((path) => `optimizer.average.${path}`).sort());
  });

  it("are none that a choice between two tensors is written into, and none on devices", () => {
    expect(stepOf({ accumulate: 2 }).overwrites).toEqual([]);
    expect(stepOf({ target: sessionTarget("webgpu") }).overwrites).toEqual([]);
    expect(stepOf({ target: { kind: "portable", opset: 21 } }).overwrites).toEqual([]);
  });
});
