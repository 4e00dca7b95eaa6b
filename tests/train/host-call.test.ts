import { afterEach, describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { type HostFunction, hostCall } from "../../src/graph/host-call.js";
import { mul } from "../../src/ops/arithmetic.js";
import { cast } from "../../src/ops/compare.js";
import { argMax, mean } from "../../src/ops/reduce.js";
import { stopGradient } from "../../src/ops/stop-gradient.js";
import { batchTypes, type TrainingBatch } from "../../src/train/data.js";
import { NonFiniteError } from "../../src/train/errors.js";
import { evaluate } from "../../src/train/evaluate.js";
import { exportTrainingStep } from "../../src/train/export-step.js";
import { fit as trainModel } from "../../src/train/fit.js";
import { crossEntropy } from "../../src/train/losses.js";
import type { Objective } from "../../src/train/objective.js";
import { adamW } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";
import { floats, SmallClassifier } from "./helpers.js";

const open: Trainer[] = [];
afterEach(async () => {
  for (const trainer of open.splice(0)) await trainer.close();
});

const batch: TrainingBatch = {
  x: floats(
    [6, 12],
    Array.from({ length: 72 }, (_, index) => Math.sin(index * index)),
  ),
};

/** The class that the model prefers already: what a host decides from the predictions. */
const preferred: HostFunction = async ({ logits }) => {
  const [count, classes] = logits!.shape as [number, number];
  const rows = Array.from({ length: count }, (_, row) =>
    Array.from(logits!.data.slice(row * classes, (row + 1) * classes), Number),
  );
  const data = BigInt64Array.from(rows, (row) => BigInt(row.indexOf(Math.max(...row))));
  return { labels: { dtype: "int64", shape: [count], data } };
};

/** Trains towards the preferred classes, chosen by the host or by an operator; dropout and batch statistics on the way. */
function selfTraining(model: SmallClassifier, host: boolean): Objective {
  return ({ x }) => {
    const logits = model.forward(x!);
    const labels = host
      ? hostCall(preferred, { logits }, { labels: { shape: [x!.size(0)], dtype: "int64" } }).labels
      : cast(argMax(stopGradient(logits), { axis: 1, keepDims: false }), { to: "int64" });
    return { loss: crossEntropy(logits, labels) };
  };
}

async function createTrainer(host: boolean): Promise<Trainer> {
  const model = new SmallClassifier();
  const trainer = await Trainer.create({
    model,
    objective: selfTraining(model, host),
    inputs: batchTypes(batch),
    optimizer: adamW(),
    schedule: 0.01,
    seed: 3,
  });
  open.push(trainer);
  return trainer;
}

describe("training with a host call", () => {
  it("is training with the same decision in the graph", async () => {
    const [host, graph] = [await createTrainer(true), await createTrainer(false)];
    for (let step = 0; step < 5; step++) {
      const [a, b] = [await host.step(batch), await graph.step(batch)];
      expect(a.loss).toBeCloseTo(b.loss, 5);
    }
    const [a, b] = [await host.state(), await graph.state()];
    for (const name of ["buffer.norm.runningMean", "param.first.weight"]) {
      const [first, second] = [a.get(name)!.data, b.get(name)!.data];
      for (const [index, value] of first.entries()) expect(value).toBeCloseTo(Number(second[index]), 4);
    }
  });

  it("works in fit and evaluate", async () => {
    const model = new SmallClassifier();
    const objective = selfTraining(model, true);
    const task = { model, objective };
    const data = { batch: () => batch, epoch: (step: number) => Math.floor(step / 4) };
    const validation = { batches: () => [batch] };
    const { evaluation, step } = await trainModel({
      ...task,
      data,
      validation,
      optimizer: adamW(),
      schedule: 0.05,
      steps: 12,
    });
    expect(step).toBe(12);
    expect(evaluation.loss).toBeLessThan(0.8);
    expect((await evaluate({ ...task, data: validation })).loss).toBe(evaluation.loss);
  });

  it("keeps the state where the function fails, and can go on", async () => {
    const model = new SmallClassifier();
    let fails = false;
    const moody: HostFunction = (tensors) => {
      if (fails) throw new Error("undecided");
      return preferred(tensors);
    };
    const trainer = await Trainer.create({
      model,
      objective: ({ x }) => {
        const logits = model.forward(x!);
        const { labels } = hostCall(moody, { logits }, { labels: { shape: [6], dtype: "int64" } });
        return { loss: crossEntropy(logits, labels) };
      },
      inputs: batchTypes(batch),
      optimizer: adamW(),
      schedule: 0.01,
    });
    open.push(trainer);
    await trainer.step(batch);
    const before = await trainer.state();
    fails = true;
    await expect(trainer.step(batch)).rejects.toThrow("undecided");
    expect(await trainer.state()).toEqual(before);
    expect(trainer.stepIndex).toBe(1);
    fails = false;
    await trainer.step(batch);
    expect(trainer.stepIndex).toBe(2);
  });

  it("finds values that are not finite behind the call", async () => {
    const model = new SmallClassifier();
    const trainer = await Trainer.create({
      model,
      objective: ({ x }) => {
        const logits = model.forward(x!);
        const { weight } = hostCall(
          () => ({ weight: floats([], [Number.NaN]) }),
          { logits },
          { weight: { shape: [] } },
        );
        return { loss: mean(mul(logits, weight), { keepDims: false }) };
      },
      inputs: batchTypes(batch),
      optimizer: adamW(),
      schedule: 0.01,
    });
    open.push(trainer);
    await expect(trainer.step(batch)).rejects.toThrow(NonFiniteError);
    expect(trainer.stepIndex).toBe(0);
  });

  it("is refused where the step is to be exported", () => {
    const model = new SmallClassifier();
    const options = {
      model,
      objective: selfTraining(model, true),
      inputs: batchTypes(batch),
      optimizer: adamW(),
    };
    expect(() => exportTrainingStep(options)).toThrow(OptionError);
    expect(() => exportTrainingStep(options)).toThrow("host call");
  });
});
