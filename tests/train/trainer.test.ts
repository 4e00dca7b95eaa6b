import { afterEach, describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { DataError, FormatError, FoveaError, OptionError, ShapeError } from "../../src/base/errors.js";
import { initialize } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Module } from "../../src/nn/module.js";
import { buffer, constantValue, parameter, read, update } from "../../src/nn/variables.js";
import { relu } from "../../src/ops/activation.js";
import { add, exp, log, mul, sqrt } from "../../src/ops/arithmetic.js";
import { mean } from "../../src/ops/reduce.js";
import { run } from "../../src/runtime/run.js";
import { batchTypes, type TrainingBatch } from "../../src/train/data.js";
import { NonFiniteError } from "../../src/train/errors.js";
import { crossEntropy, meanSquaredError } from "../../src/train/losses.js";
import { type SupervisedModel, supervised } from "../../src/train/objective.js";
import { adamW, sgd } from "../../src/train/optimizers.js";
import { noDecayForBiasesAndNorms } from "../../src/train/parameter-groups.js";
import { constantRate } from "../../src/train/schedules.js";
import { Trainer, type TrainerOptions } from "../../src/train/trainer.js";
import { floats, labels, regressionBatch, SmallClassifier, TwoLayers } from "./helpers.js";

const open: Trainer[] = [];
afterEach(async () => {
  for (const trainer of open.splice(0)) await trainer.close();
});

async function createTrainer(
  model: SupervisedModel,
  batch: TrainingBatch,
  options: Partial<TrainerOptions> = {},
): Promise<Trainer> {
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss: meanSquaredError }),
    inputs: batchTypes(batch),
    optimizer: sgd(),
    schedule: 0.1,
    ...options,
  });
  open.push(trainer);
  return trainer;
}

/** One weight w, and the loss is the mean of w * x: its gradient is the mean of x. */
class OneWeight extends Module {
  readonly weight = parameter([1], constantValue(1));

  forward(x: Tensor): Tensor {
    return mul(x, this.weight);
  }
}

const average = (output: Tensor) => mean(output, { keepDims: false });

/** A batch under which the gradient of OneWeight is g. */
function gradientOf(g: number): TrainingBatch {
  return { x: floats([2, 1], [g - 1, g + 1]), y: floats([2, 1], [0, 0]) };
}

/** The values of a state after each of some gradients. */
async function trajectory(
  options: Partial<TrainerOptions>,
  gradients: readonly number[],
  state = "param.weight",
): Promise<number[]> {
  const model = new OneWeight();
  const trainer = await createTrainer(model, gradientOf(0), {
    objective: supervised({ model, loss: average }),
    ...options,
  });
  const values: number[] = [];
  for (const g of gradients) {
    await trainer.step(gradientOf(g));
    values.push(Number((await trainer.state()).get(state)!.data[0]));
  }
  return values;
}

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual).toHaveLength(expected.length);
  expected.forEach((value, index) => {
    expect(actual[index]! / value).toBeCloseTo(1, 6);
  });
}

describe("optimizers, by hand", () => {
  it("SGD without momentum", async () => {
    expectClose(await trajectory({}, [1, -2]), [0.9, 1.1]);
  });

  it("SGD with dampening: the first momentum is the whole gradient", async () => {
    const optimizer = sgd({ momentum: 0.5, dampening: 0.25 });
    // m: 1, 0.5 + 0.75 * 2 = 2, 1 + 0.75 * 4 = 4
    expectClose(await trajectory({ optimizer }, [1, 2, 4]), [0.9, 0.7, 0.3]);
    expectClose(await trajectory({ optimizer }, [1, 2, 4], "optimizer.momentum.weight"), [1, 2, 4]);
  });

  it("SGD with weight decay, which enters the momentum", async () => {
    const optimizer = sgd({ momentum: 0.9, weightDecay: 0.5 });
    // m: 0 + 0.5 * 1; p = 0.95; m = 0.45 + 1 + 0.475
    expectClose(await trajectory({ optimizer }, [0, 1]), [0.95, 0.95 - 0.1925]);
  });

  it("AdamW: the first steps have the size of the learning rate; decay is decoupled", async () => {
    expectClose(await trajectory({ optimizer: adamW({ weightDecay: 0 }) }, [5, 5]), [0.9, 0.8]);
    expectClose(await trajectory({ optimizer: adamW({ weightDecay: 0.5 }) }, [5]), [0.95 - 0.1]);
  });

  it("follow the schedule", async () => {
    expectClose(await trajectory({ schedule: (update) => 0.1 * (update + 1) }, [1, 1, 1]), [0.9, 0.7, 0.4]);
  });

  it.each([
    [() => sgd({ momentum: -1 }), /momentum is -1/],
    [() => sgd({ nesterov: true }), /nesterov with momentum 0 and dampening 0/],
    [() => sgd({ weightDecay: Number.NaN }), /weightDecay is NaN/],
    [() => adamW({ beta1: 1 }), /beta1 is 1; it must be below 1/],
    [() => adamW({ epsilon: -1e-8 }), /epsilon is -1e-8/],
  ])("refuse options (%#)", (call, message) => {
    expect(call).toThrow(OptionError);
    expect(call).toThrow(message);
  });
});

describe("gradient transforms", () => {
  it("clip by the global norm as PyTorch does, and leave small gradients alone", async () => {
    expectClose(await trajectory({ clip: { norm: 2 } }, [4]), [1 - 0.1 * 4 * (2 / (4 + 1e-6))]);
    expectClose(await trajectory({ clip: { norm: 2 } }, [1]), [0.9]);
  });

  it("clip by value", async () => {
    expectClose(await trajectory({ clip: { value: 0.5 } }, [4, -4, 0.25]), [0.95, 1, 0.975]);
  });

  it("report the norm before clipping", async () => {
    const model = new OneWeight();
    const trainer = await createTrainer(model, gradientOf(0), {
      objective: supervised({ model, loss: average }),
      clip: { norm: 1 },
    });
    expect((await trainer.step(gradientOf(-3))).gradientNorm).toBeCloseTo(3, 5);
  });

  it("refuse limits that are none", async () => {
    await expect(trajectory({ clip: { norm: Number.NaN } }, [1])).rejects.toThrow(/norm is NaN/);
    await expect(trajectory({ clip: { value: -1 } }, [1])).rejects.toThrow(/value is -1/);
    await expect(trajectory({ accumulate: 0 }, [1])).rejects.toThrow(/accumulate is 0/);
  });

  it("accumulate: only every second batch changes the weights, by the mean gradient", async () => {
    const optimizer = sgd({ momentum: 0.5 });
    // updates with 2 and 4: m = 2, then 1 + 4 = 5
    expectClose(await trajectory({ optimizer, accumulate: 2 }, [1, 3, 4, 4]), [1, 0.8, 0.8, 0.3]);
    const accumulated = await trajectory({ optimizer, accumulate: 2 }, [1, 3, 4, 4], "accumulator.weight");
    expect(accumulated).toEqual([0.5, 0, 2, 0]);
    const updates = await trajectory({ accumulate: 2, schedule: (n) => 0.1 * (n + 1) }, [1, 1, 1, 1]);
    expectClose(updates, [1, 0.9, 0.9, 0.7]);
  });

  it("accumulation of two batches equals one batch of double size", async () => {
    const whole = regressionBatch(8, 5);
    const half = (first: number): TrainingBatch =>
      Object.fromEntries(
        Object.entries(whole).map(([name, { dtype, shape, data }]) => {
          const size = data.length / 2;
          const part = data.slice(first * size, (first + 1) * size);
          return [name, { dtype, shape: [shape[0]! / 2, ...shape.slice(1)], data: part }];
        }),
      );
    const create = async (batch: TrainingBatch, accumulate: number) =>
      createTrainer(new TwoLayers(5, 7, 1), batch, {
        accumulate,
        optimizer: adamW(),
        clip: { norm: 0.5 },
        ema: { decay: 0.5 },
      });
    const once = await create(whole, 1);
    const twice = await create(half(0), 2);
    for (let update = 0; update < 3; update++) {
      await once.step(whole);
      await twice.step(half(0));
      await twice.step(half(1));
    }
    const found = await twice.state();
    for (const [name, { data }] of await once.state()) {
      const other = found.get(name)!.data;
      data.forEach((value, index) => {
        expect(Math.abs(Number(other[index]) - Number(value))).toBeLessThan(1e-5);
      });
    }
  });

  it("moving average of the weights, by hand, with and without warm-up", async () => {
    const averages: number[] = [];
    const warm: number[] = [];
    let [a, b, p] = [1, 1, 1];
    for (const [t, g] of [3, 1, -2].entries()) {
      p -= 0.1 * g;
      a += (1 - 0.75) * (p - a);
      averages.push(a);
      b += (1 - Math.min(0.75, (1 + t) / (10 + t))) * (p - b);
      warm.push(b);
    }
    expectClose(await trajectory({ ema: { decay: 0.75 } }, [3, 1, -2], "ema.weight"), averages);
    expectClose(await trajectory({ ema: { decay: 0.75, warmUp: true } }, [3, 1, -2], "ema.weight"), warm);
    await expect(trajectory({ ema: { decay: 1 } }, [1])).rejects.toThrow(/decay is 1; it must be below 1/);
  });

  it("the moving average stands still between updates", async () => {
    const found = await trajectory({ ema: { decay: 0.5 }, accumulate: 2 }, [1, 3, 1], "ema.weight");
    expectClose(found, [1, 0.9, 0.9]);
  });
});

describe("parameter groups", () => {
  const batch = regressionBatch(4, 3);

  it("frozen parameters do not change and have no state", async () => {
    const trainer = await createTrainer(new TwoLayers(3, 4, 1), batch, {
      groups: [{ match: "first.*", frozen: true }],
      optimizer: sgd({ momentum: 0.9, weightDecay: 0.1 }),
      ema: { decay: 0.9 },
    });
    const before = await trainer.state();
    await trainer.step(batch);
    await trainer.step(batch);
    const after = await trainer.state();
    expect(trainer.definition.trained).toEqual(["second.weight", "second.bias"]);
    expect([...after.keys()].filter((name) => /^(optimizer|ema)\./.test(name))).toEqual([
      "optimizer.momentum.second.weight",
      "ema.second.weight",
      "optimizer.momentum.second.bias",
      "ema.second.bias",
    ]);
    expect(after.get("param.first.weight")).toEqual(before.get("param.first.weight"));
    expect(after.get("param.second.weight")).not.toEqual(before.get("param.second.weight"));
  });

  it("later groups win, setting by setting; decay and learning rate differ by group", async () => {
    const still = { x: floats([2, 1], [-1, 1]), y: floats([2, 1], [0, 0]) };
    const result = async (groups: TrainerOptions["groups"]) => {
      const model = new OneWeight();
      const trainer = await createTrainer(model, still, {
        objective: supervised({ model, loss: average }),
        optimizer: sgd({ weightDecay: 1 }),
        groups: groups!,
      });
      await trainer.step(still);
      return Number((await trainer.state()).get("param.weight")!.data[0]);
    };
    expect(await result([])).toBeCloseTo(0.9, 6);
    expect(await result([{ match: "*", weightDecay: 0.5 }])).toBeCloseTo(0.95, 6);
    expect(
      await result([
        { match: "weight", weightDecay: 0.5, learningRateScale: 3 },
        { match: () => true, learningRateScale: 2 },
      ]),
    ).toBeCloseTo(0.9, 6);
    expect(await result([noDecayForBiasesAndNorms])).toBe(1);
  });

  it("refuse patterns that fit nothing, bad values, and models with nothing to train", async () => {
    const create = (groups: TrainerOptions["groups"]) =>
      createTrainer(new TwoLayers(3, 4, 1), batch, { groups: groups! });
    await expect(create([{ match: "third.*" }])).rejects.toThrow(
      /no parameter fits "third\.\*"; the model has first\.weight/,
    );
    await expect(create([{ match: "*", weightDecay: -1 }])).rejects.toThrow(/weightDecay is -1/);
    await expect(create([{ match: "*", frozen: true }])).rejects.toThrow(/nothing to train/);
  });
});

describe("a value that is not finite", () => {
  /** Where the middle of the network goes wrong, and what is to be named. */
  const cases: readonly [string, (x: Tensor) => Tensor, { kind: string; path: string }][] = [
    ["in the forward pass", (x) => log(mul(relu(x), 0)), { kind: "tap", path: "between" }],
    ["overflow", (x) => exp(add(mul(x, 0), 1e4)), { kind: "tap", path: "between" }],
    ["in a gradient only", (x) => sqrt(mul(x, 0)), { kind: "gradient", path: "first." }],
  ];

  it.each(cases)("%s is named, and the state before is kept", async (_name, between, first) => {
    const batch = regressionBatch(4, 3);
    const trainer = await createTrainer(new TwoLayers(3, 4, 1, between), batch);
    const before = await trainer.state();
    const failure = await trainer.step(batch).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NonFiniteError);
    expect(failure).toBeInstanceOf(FoveaError);
    expect(failure).toMatchObject({ step: 0, first: { kind: first.kind } });
    expect((failure as NonFiniteError).first.path.startsWith(first.path)).toBe(true);
    expect(await trainer.state()).toEqual(before);
    expect(trainer.stepIndex).toBe(0);
  });

  it("in the batch is named, and training can go on", async () => {
    const good = regressionBatch(4, 3);
    const bad = { ...good, x: floats([4, 3], [...good.x!.data.slice(1), Number.NaN].map(Number)) };
    const trainer = await createTrainer(new TwoLayers(3, 4, 1), good, {
      optimizer: sgd({ momentum: 0.9 }),
    });
    const twin = await createTrainer(new TwoLayers(3, 4, 1), good, { optimizer: sgd({ momentum: 0.9 }) });
    await trainer.step(good);
    await twin.step(good);
    await expect(trainer.step(bad)).rejects.toMatchObject({
      name: "NonFiniteError",
      step: 1,
      first: { kind: "input", path: "x" },
    });
    expect(await trainer.state()).toEqual(await twin.state());
    await trainer.step(good);
    await twin.step(good);
    expect(await trainer.state()).toEqual(await twin.state());
    expect(trainer.stepIndex).toBe(2);
  });

  it("in a parameter is named", async () => {
    const batch = regressionBatch(4, 3);
    const model = new TwoLayers(3, 4, 1);
    initialize(model);
    model.second.bias!.value = Float32Array.of(Number.POSITIVE_INFINITY);
    const trainer = await createTrainer(model, batch);
    await expect(trainer.step(batch)).rejects.toThrow(
      /step 0: loss is Infinity, .* the first value that is not finite is parameter second\.bias/,
    );
  });

  it("without taps, the module is named", async () => {
    class Inner extends Module {
      readonly weight = parameter([1], constantValue(-1));
      forward(x: Tensor): Tensor {
        return log(mul(this.weight, mul(x, x)));
      }
    }
    class Outer extends Module {
      readonly inner = new Inner();
      forward(x: Tensor): Tensor {
        return mul(this.inner.forward(x), 2);
      }
    }
    const batch = regressionBatch(4, 1);
    const trainer = await createTrainer(new Outer(), batch);
    await expect(trainer.step(batch)).rejects.toMatchObject({ first: { kind: "module", path: "inner" } });
  });

  it("gradients whose squares overflow are told from gradients that are not finite", async () => {
    await expect(trajectory({}, [1e30])).rejects.toMatchObject({ first: { kind: "gradientNorm" } });
  });
});

describe("Trainer", () => {
  const batch: TrainingBatch = { x: floats([4, 12], Array(48).fill(0.5)), y: labels([0, 1, 2, 0]) };
  const classifier = () => {
    const model = new SmallClassifier();
    return createTrainer(model, batch, { objective: supervised({ model, loss: crossEntropy }) });
  };

  it("reports loss and accuracy, keeps buffers, and draws dropout by seed and step", async () => {
    const [one, other] = [await classifier(), await classifier()];
    const results = [await one.step(batch), await one.step(batch)];
    expect([await other.step(batch), await other.step(batch)]).toEqual(results);
    expect(results[0]!.learningRate).toBe(0.1);
    expect([0, 0.25, 0.5, 0.75, 1]).toContain(results[0]!.metrics.accuracy);
    const state = await one.state();
    expect(state.get("buffer.norm.runningMean")!.data).not.toEqual(new Float32Array(8));
    expect(await other.state()).toEqual(state);
  });

  it("goes on from a state as if it had not been interrupted", async () => {
    const [whole, first, second] = [await classifier(), await classifier(), await classifier()];
    for (let step = 0; step < 4; step++) await whole.step(batch);
    for (let step = 0; step < 2; step++) await first.step(batch);
    await second.load(await first.state(), first.stepIndex);
    expect(second.stepIndex).toBe(2);
    for (let step = 0; step < 2; step++) await second.step(batch);
    expect(await second.state()).toEqual(await whole.state());
  });

  it("refuses a state that does not fit, and changes nothing", async () => {
    const trainer = await classifier();
    const before = await trainer.state();
    const state = new Map<string, HostTensor>(before);
    state.delete("param.first.weight");
    state.set("param.third.weight", floats([1], [0]));
    state.set("buffer.norm.runningVar", floats([2], [0, 0]));
    await expect(trainer.load(state, 1)).rejects.toThrow(FormatError);
    await expect(trainer.load(state, 1)).rejects.toThrow(
      /missing: param\.first\.weight; unused: param\.third\.weight; mis-shaped: buffer\.norm\.runningVar: expected float32 \[8\], found float32 \[2\]/,
    );
    expect(await trainer.state()).toEqual(before);
    expect(trainer.stepIndex).toBe(0);
  });

  it("writes trained values to the model, its moving average or not", async () => {
    const pair = regressionBatch(4, 3);
    const model = new TwoLayers(3, 4, 1);
    const trainer = await createTrainer(model, pair, { ema: { decay: 0.9 } });
    const initial = model.first.weight.value.slice();
    await trainer.step(pair);
    expect(model.first.weight.value).toEqual(initial);
    const state = await trainer.state();
    await trainer.syncToModel();
    expect(model.first.weight.value).toEqual(state.get("ema.first.weight")!.data);
    await trainer.syncToModel({ ema: false });
    expect(model.first.weight.value).toEqual(state.get("param.first.weight")!.data);
    const { outputs } = await run(model, pair.x!);
    expect(outputs.y!.shape).toEqual([4, 1]);
  });

  it("updates buffers of every kind: a second update in a step sees the first", async () => {
    class Counter extends OneWeight {
      readonly count = buffer([1], constantValue(0));
      override forward(x: Tensor): Tensor {
        update(this.count, add(read(this.count), 1));
        update(this.count, mul(read(this.count), 2));
        return super.forward(x);
      }
    }
    const pair = regressionBatch(2, 1);
    const trainer = await createTrainer(new Counter(), pair);
    await trainer.step(pair);
    await trainer.step(pair);
    expect(Number((await trainer.state()).get("buffer.count")!.data[0])).toBe(6);
  });

  it("leaves parameters alone that the loss does not depend on", async () => {
    class WithSpare extends OneWeight {
      readonly spare = parameter([3], constantValue(7));
    }
    const pair = regressionBatch(2, 1);
    const trainer = await createTrainer(new WithSpare(), pair, { optimizer: sgd({ weightDecay: 0.5 }) });
    await trainer.step(pair);
    expect((await trainer.state()).get("param.spare")).toEqual(floats([3], [7, 7, 7]));
    expect(trainer.definition.trained).toEqual(["weight"]);
  });

  it("refuses batches that do not fit", async () => {
    const trainer = await classifier();
    await expect(trainer.step({ x: batch.x! })).rejects.toThrow(/a batch must hold x, y; found x/);
    await expect(trainer.step({ ...batch, z: batch.y! })).rejects.toThrow(OptionError);
    await expect(trainer.step({ ...batch, y: labels([0, 1, 3, 0]) })).rejects.toThrow(DataError);
    await expect(trainer.step({ ...batch, y: labels([0, -1, 2, 0]) })).rejects.toThrow(
      /label 1 of a batch \(y\) is -1; the model's classes are 0 to 2/,
    );
    await expect(trainer.step({ ...batch, x: floats([4, 11], Array(44).fill(0)) })).rejects.toThrow(
      ShapeError,
    );
    expect(trainer.stepIndex).toBe(0);
    await trainer.step(batch);
  });

  it("refuses a second step before the first has ended", async () => {
    const trainer = await classifier();
    const first = trainer.step(batch);
    await expect(trainer.step(batch)).rejects.toThrow(/await it/);
    await first;
    expect(trainer.stepIndex).toBe(1);
  });

  it("refuses losses and metrics that are no scalars, and unknown devices", async () => {
    const pair = regressionBatch(4, 3);
    const model = new TwoLayers(3, 4, 1);
    const create = (options: Partial<TrainerOptions>) => createTrainer(model, pair, options);
    await expect(create({ objective: ({ x }) => ({ loss: model.forward(x!) }) })).rejects.toThrow(
      /loss must be a float32 scalar, found float32 \[4, 1\]/,
    );
    await expect(create({ session: { device: "tpu" } })).rejects.toThrow(/device 'tpu' is unknown/);
    await expect(create({ seed: -1 })).rejects.toThrow(/seed is -1/);
    expect(() => constantRate(-1)).toThrow(OptionError);
  });

  it("leaves the calling thread free", async () => {
    const model = new TwoLayers(256, 512, 256);
    const wide = {
      x: floats([256, 256], Array(65536).fill(0.01)),
      y: floats([256, 256], Array(65536).fill(1)),
    };
    const trainer = await createTrainer(model, wide, { optimizer: adamW() });
    let turns = 0;
    let next = setImmediate(function turn() {
      turns++;
      next = setImmediate(turn);
    });
    const steps = 20;
    for (let step = 0; step < steps; step++) await trainer.step(wide);
    clearImmediate(next);
    // A thread that computes itself has a turn or two between steps; one that waits has hundreds in each.
    expect(turns).toBeGreaterThan(10 * steps);
  });
});
