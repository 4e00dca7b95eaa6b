import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DataError, FormatError, OptionError } from "../../src/base/errors.js";
import { randomShift } from "../../src/data/augment.js";
import { Loader } from "../../src/data/loader.js";
import { namedVariables } from "../../src/graph/model.js";
import { stateDict } from "../../src/nn/state-dict.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import type { Runtime } from "../../src/runtime/types.js";
import { loadWeights, readCheckpoint, writeCheckpoint } from "../../src/train/checkpoint.js";
import type { TrainingBatch, TrainingData } from "../../src/train/data.js";
import { NonFiniteError } from "../../src/train/errors.js";
import { evaluate } from "../../src/train/evaluate.js";
import type { FitEvent } from "../../src/train/events.js";
import { fit as trainModel } from "../../src/train/fit.js";
import type { FitOptions, FitSettings } from "../../src/train/fit-options.js";
import { crossEntropy, meanSquaredError } from "../../src/train/losses.js";
import { adamW, sgd } from "../../src/train/optimizers.js";
import { cosine, warmUp } from "../../src/train/schedules.js";
import {
  floats,
  MemoryRun,
  patterns,
  regressionBatch,
  SmallClassifier,
  TwoLayers,
  untimed,
} from "./helpers.js";

const train = patterns(100);
const test = patterns(37, "test");

/** The runtime with steps that take a while, as those of large networks do. */
function slowRuntime(): Runtime {
  const real = nodeRuntime();
  return {
    async createSession(model, options) {
      const session = await real.createSession(model, options);
      const step = session.step.bind(session);
      session.step = async (state, call) => {
        await setTimeout(50);
        return step(state, call);
      };
      return session;
    },
    createState: (values) => real.createState(values),
    resolveDevice: (request) => real.resolveDevice(request),
    channelBlock: (device) => real.channelBlock(device),
    info: (options) => real.info(options),
  };
}

/** A run with everything that has to be kept. */
function options(more: Partial<FitSettings> = {}): FitOptions & { model: SmallClassifier } {
  return {
    model: new SmallClassifier(),
    data: new Loader(train, { batchSize: 16, seed: 5, augment: [randomShift({ pixels: 1 })] }),
    validation: new Loader(test, { batchSize: 16 }),
    loss: crossEntropy,
    optimizer: adamW(),
    schedule: warmUp(cosine({ rate: 0.1 }), { updates: 3 }),
    epochs: 3,
    ema: { decay: 0.9, warmUp: true },
    clip: { norm: 1 },
    seed: 7,
    ...more,
  };
}

describe("fit", () => {
  const run = new MemoryRun();
  const events: FitEvent[] = [];
  const { model, ...settings } = options({ run, callbacks: [(event) => void events.push(event)] });
  let result: Awaited<ReturnType<typeof trainModel>>;
  beforeAll(async () => {
    result = await trainModel({ model, ...settings } as FitOptions);
  });

  it("trains: the loss falls and the accuracy rises", () => {
    // 3 epochs of 100 samples in steps of 16 are complete after 19 steps.
    expect(result).toMatchObject({ step: 19, epoch: 3, reason: "completed" });
    const steps = run.events.filter((event) => event.type === "step");
    expect(steps).toHaveLength(19);
    expect(result.loss).toBe(steps.at(-1)!.loss);
    expect(result.evaluation.loss).toBeLessThan(steps[0]!.loss / 2);
    expect(result.evaluation.accuracy).toBeGreaterThan(0.9);
    expect(result.best).toBe(Math.max(...evaluations(events).map(({ values }) => values.accuracy!)));
  });

  it("tells its callbacks what happens, in order", () => {
    const order = events.map(({ type, step }) => `${type} ${step}`);
    expect(order.slice(0, 2)).toEqual(["begin 0", "step 1"]);
    expect(order.slice(7, 11)).toEqual(["step 7", "epoch 7", "evaluation 7", "checkpoint 7"]);
    expect(order.slice(-3)).toEqual(
      ["evaluation 19", ...(order.at(-2) === "checkpoint 19" ? ["checkpoint 19"] : []), "end 19"].slice(-3),
    );
    expect(events[0]).toMatchObject({ totalSteps: 19, samplesPerStep: 16 });
    expect(events.filter(({ type }) => type === "epoch").map((event) => [event.step])).toEqual([
      [7],
      [13],
      [19],
    ]);
    expect(events.filter((event) => event.type === "step").map(({ epoch }) => epoch)).toEqual([
      ...Array(7).fill(1),
      ...Array(6).fill(2),
      ...Array(6).fill(3),
    ]);
    expect(events.at(-1)).toMatchObject({ reason: "completed", epoch: 3 });
  });

  it("an epoch's figures are the averages of its steps", () => {
    const steps = run.events.filter((event) => event.type === "step").slice(0, 7);
    const epoch = run.events.find((event) => event.type === "epoch")!;
    const mean = (value: (step: (typeof steps)[number]) => number) =>
      steps.reduce((total, step) => total + value(step), 0) / steps.length;
    expect(epoch.loss).toBeCloseTo(
      mean(({ loss }) => loss),
      12,
    );
    expect(epoch.metrics.accuracy).toBeCloseTo(
      mean(({ metrics }) => metrics.accuracy!),
      12,
    );
  });

  it("the model has the moving average that was evaluated", async () => {
    const again = await evaluate({ model, loss: crossEntropy, data: new Loader(test, { batchSize: 16 }) });
    expect({ loss: again.loss, ...again.metrics }).toEqual(result.evaluation);
    expect(again.samples).toBe(37);
    expect(again.confusion!.total).toBe(37);
    expect(again.confusion!.accuracy).toBe(again.metrics.accuracy);
    const { state } = readCheckpoint(run.files.get("last")!);
    expect(model.first.weight.value).toEqual(state.get("ema.first.weight")!.data);
  });

  it("checkpoints of weights load into a model, with and without moving average", async () => {
    const { state, progress } = readCheckpoint(run.files.get("best")!);
    expect([...state.keys()].filter((name) => name.startsWith("optimizer."))).toEqual([]);
    const other = new SmallClassifier();
    loadWeights(other, state);
    const { metrics } = await evaluate({
      model: other,
      loss: crossEntropy,
      data: new Loader(test, { batchSize: 8 }),
    });
    expect(metrics.accuracy).toBe(result.best);
    expect(metrics.accuracy).toBe(progress.evaluation.accuracy);
    loadWeights(other, state, { ema: false });
    expect(other.first.weight.value).toEqual(state.get("param.first.weight")!.data);
  });

  it("the same options give the same run", async () => {
    const other = new MemoryRun();
    await trainModel(options({ run: other }));
    expect(untimed(other.events)).toEqual(untimed(run.events));
    expect(other.files.get("last")).toEqual(run.files.get("last"));
  });

  describe("a resumed run equals an uninterrupted one", () => {
    it.each([1, 7, 10, 18])("after an abort at step %i", async (at) => {
      const other = new MemoryRun();
      const stop = new AbortController();
      const first = await trainModel(
        options({
          run: other,
          signal: stop.signal,
          callbacks: [({ type, step }) => void (type === "step" && step === at && stop.abort())],
        }),
      );
      expect(first).toMatchObject({ reason: "aborted", step: at });
      const resumed = await trainModel(options({ run: other, resume: true }));
      expect(untimed(other.events)).toEqual(untimed(run.events));
      expect(other.files.get("last")).toEqual(run.files.get("last"));
      expect(other.files.get("best")).toEqual(run.files.get("best"));
      expect({ ...resumed, milliseconds: 0 }).toEqual({ ...result, milliseconds: 0 });
    });

    it("after it was killed between checkpoints", async () => {
      const other = new MemoryRun();
      const killed = trainModel(
        options({
          run: other,
          checkpointEvery: 4,
          callbacks: [
            ({ type, step }) => {
              if (type === "step" && step === 11) throw new Error("killed");
            },
          ],
        }),
      );
      await expect(killed).rejects.toThrow("killed");
      expect(readCheckpoint(other.files.get("last")!).progress.step).toBe(8);
      expect(other.events.at(-1)!.step).toBe(11);
      await trainModel(options({ run: other, checkpointEvery: 4, resume: true }));
      expect(untimed(other.events)).toEqual(untimed(run.events));
      expect(other.files.get("last")).toEqual(run.files.get("last"));
    });

    it("before its first checkpoint, and when it is complete", async () => {
      const other = new MemoryRun();
      other.events = run.events.slice(0, 3);
      await trainModel(options({ run: other, resume: true }));
      expect(untimed(other.events)).toEqual(untimed(run.events));
      const again = await trainModel(options({ run: other, resume: true }));
      expect(again).toMatchObject({
        step: 19,
        reason: "completed",
        evaluation: result.evaluation,
        best: result.best,
      });
      expect(again.loss).toBeUndefined();
      expect(untimed(other.events)).toEqual(untimed(run.events));
    });

    it("with accumulation under way", async () => {
      const settings = { accumulate: 4, optimizer: sgd({ momentum: 0.9 }), checkpointEvery: 1 };
      const whole = new MemoryRun();
      await trainModel(options({ ...settings, run: whole }));
      const other = new MemoryRun();
      const stop = new AbortController();
      const callbacks = [({ type, step }: FitEvent) => void (type === "step" && step === 6 && stop.abort())];
      await trainModel(options({ ...settings, run: other, signal: stop.signal, callbacks }));
      await trainModel(options({ ...settings, run: other, resume: true }));
      expect(other.files.get("last")).toEqual(whole.files.get("last"));
      expect(untimed(other.events)).toEqual(untimed(whole.events));
    });
  });

  it("refuses to resume a run of another model or other options", async () => {
    const resume = (more: Partial<FitSettings>) => trainModel(options({ run, resume: true, ...more }));
    const before = [...run.events];
    await expect(resume({ seed: 8 })).rejects.toThrow(DataError);
    await expect(resume({ seed: 8, description: "another" })).rejects.toThrow(
      /description is "" in the checkpoint, now "another"; seed is 7 in the checkpoint, now 8/,
    );
    await expect(resume({ accumulate: 2 })).rejects.toThrow(/accumulate is 1 in the checkpoint, now 2/);
    await expect(resume({ data: new Loader(train, { batchSize: 10 }) })).rejects.toThrow(
      /position is 304 in the checkpoint, now 190/,
    );
    await expect(resume({ optimizer: sgd({ momentum: 0.9 }) })).rejects.toThrow(
      /missing: optimizer\.momentum\.first\.weight.*unused: optimizer\.firstMoment\.first\.bias/,
    );
    const other = { ...options({ run, resume: true }), model: new SmallClassifier(12, 4) } as FitOptions;
    await expect(trainModel(other)).rejects.toThrow(FormatError);
    await expect(trainModel(other)).rejects.toThrow(
      /mis-shaped: param\.second\.weight: expected float32 \[4, 8\], found float32 \[3, 8\]/,
    );
    await expect(resume({ ema: { decay: 0.9 } })).resolves.toBeDefined();
    expect(untimed(run.events)).toEqual(untimed(before));
  });
});

function evaluations(events: readonly FitEvent[]) {
  return events.filter((event) => event.type === "evaluation");
}

/** Data of one batch, the same at every step, with four steps to an epoch. */
function always(batch: TrainingBatch): TrainingData {
  return { batch: () => batch, epoch: (step) => Math.floor(step / 4) };
}

function regression(more: Partial<FitSettings> = {}): FitOptions & { model: TwoLayers } {
  return {
    model: new TwoLayers(3, 4, 1),
    data: always(regressionBatch(8, 3)),
    loss: meanSquaredError,
    optimizer: sgd(),
    schedule: 0.05,
    steps: 12,
    ...more,
  };
}

describe("fit, step by step", () => {
  it("takes so many steps, evaluates with a function, and stops early", async () => {
    const values = [5, 4, 4.5, 3.95, 3, 1];
    const seen: number[] = [];
    const result = await trainModel(
      regression({
        steps: 100,
        validation: ({ epoch }) => ({ error: values[epoch - 1]! }),
        earlyStopping: { metric: "error", mode: "min", patience: 2, minDelta: 0.1 },
        best: { metric: "error", mode: "min" },
        callbacks: [(event) => void (event.type === "evaluation" && seen.push(event.values.error!))],
      }),
    );
    // 4.5 is worse, 3.95 better by too little.
    expect(seen).toEqual([5, 4, 4.5, 3.95]);
    expect(result).toMatchObject({ reason: "early-stopping", step: 16, epoch: 4, best: 3.95 });
  });

  it("early stopping goes on counting after a resume", async () => {
    const run = new MemoryRun();
    const settings = (more: Partial<FitSettings>) =>
      regression({
        steps: 100,
        run,
        validation: ({ epoch }) => ({ accuracy: [0.5, 0.6, 0.6, 0.6, 0.9][epoch - 1]! }),
        earlyStopping: { metric: "accuracy", patience: 2 },
        ...more,
      });
    const stop = new AbortController();
    const callbacks = [({ type, step }: FitEvent) => void (type === "step" && step === 14 && stop.abort())];
    await trainModel(settings({ signal: stop.signal, callbacks }));
    expect(await trainModel(settings({ resume: true }))).toMatchObject({
      reason: "early-stopping",
      step: 16,
    });
    expect(await trainModel(settings({ resume: true }))).toMatchObject({
      reason: "early-stopping",
      step: 16,
    });
  });

  it("the validation function sees the weights of its step in the model", async () => {
    const setup = regression();
    const weights: Float32Array[] = [];
    const initial = stateDict(setup.model).get("first.weight")!.data;
    await trainModel({
      ...setup,
      validation: () => {
        weights.push(setup.model.first.weight.value.slice() as Float32Array);
        return { loss: 1 };
      },
    } as FitOptions);
    expect(weights).toHaveLength(3);
    expect(weights[0]).not.toEqual(initial);
    expect(weights[0]).not.toEqual(weights[1]);
    expect(setup.model.first.weight.value).toEqual(weights[2]);
  });

  it("a run that ends within an epoch is evaluated and kept", async () => {
    const run = new MemoryRun();
    await trainModel(regression({ steps: 6, run, validation: () => ({ loss: 1 }) }));
    expect(run.events.filter((event) => event.type === "evaluation").map(({ step }) => step)).toEqual([4, 6]);
    expect(readCheckpoint(run.files.get("last")!).progress).toMatchObject({
      step: 6,
      epoch: 1,
      position: 48,
    });
  });

  it("an aborted signal ends the run before its first step; no step is left over", async () => {
    const setup = regression({ signal: AbortSignal.abort() });
    const initial = stateDict(setup.model);
    expect(await trainModel(setup)).toMatchObject({ reason: "aborted", step: 0 });
    expect(stateDict(setup.model)).toEqual(initial);
    expect(await trainModel(regression({ steps: 0 }))).toMatchObject({ reason: "completed", step: 0 });
  });

  it("a loss that is not finite ends the run, and the state before is kept", async () => {
    const good = regressionBatch(8, 3);
    const bad = { ...good, y: floats([8, 1], Array(8).fill(Number.POSITIVE_INFINITY)) };
    const run = new MemoryRun();
    const setup = regression({
      run,
      data: { batch: (step) => (step === 5 ? bad : good), epoch: () => 0 },
    });
    const failure = await trainModel(setup).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NonFiniteError);
    expect(failure).toMatchObject({ step: 5, first: { kind: "input", path: "y" } });
    const { state, progress } = readCheckpoint(run.files.get("last")!);
    expect(progress.step).toBe(5);
    expect(setup.model.first.weight.value).toEqual(state.get("param.first.weight")!.data);
    expect(run.events.at(-1)).toMatchObject({ type: "end", reason: "non-finite", step: 5 });
  });

  it("prepares the next batch while a step is under way", async () => {
    const log: string[] = [];
    const dataset = { ...pick(train), label: (index: number) => train.label(index) };
    await trainModel({
      model: new SmallClassifier(),
      runtime: slowRuntime(),
      data: new Loader(
        {
          ...dataset,
          pixels: (index) => {
            log.push("image");
            return train.pixels(index);
          },
        },
        { batchSize: 10 },
      ),
      loss: crossEntropy,
      optimizer: sgd(),
      schedule: 0.01,
      steps: 3,
      callbacks: [({ type }) => void (type === "step" && log.push("step"))],
    });
    // Behind the first step's batch (and one for the shapes) at least one more was read before the step had ended.
    expect(log.indexOf("step")).toBeGreaterThanOrEqual(30);
  });

  it("learns an objective of its own, of inputs by other names", async () => {
    const model = new TwoLayers(3, 4, 1);
    const pair = regressionBatch(8, 3);
    const data = always({ points: pair.x!, heights: pair.y! });
    const result = await trainModel({
      model,
      objective: ({ points, heights }) => ({ loss: meanSquaredError(model.forward(points!), heights!) }),
      data,
      validation: { batches: () => [{ points: pair.x!, heights: pair.y! }] },
      optimizer: sgd({ momentum: 0.9 }),
      schedule: 0.05,
      epochs: 10,
    });
    expect(result.evaluation.loss).toBeLessThan(1);
    expect(Object.keys(result.evaluation)).toEqual(["loss"]);
    expect(result.step).toBe(40);
  });

  it.each([
    [{ epochs: 1 }, /either epochs or steps/],
    [{ steps: -1 }, /steps is -1/],
    [{ steps: 1.5 }, /steps is 1.5/],
    [{ resume: true }, /resume needs a run/],
    [{ earlyStopping: { metric: "loss", patience: 1 } }, /there is none/],
    [{ validation: () => ({}), earlyStopping: { metric: "loss", patience: 0 } }, /patience is 0/],
    [
      { validation: () => ({}), earlyStopping: { metric: "loss", patience: 1, minDelta: -1 } },
      /minDelta is -1/,
    ],
    [{ checkpointEvery: 0 }, /checkpointEvery is 0/],
    [{ accumulate: 1.5 }, /accumulate is 1.5/],
    [{ validation: () => ({ error: 1 }), best: { metric: "accuracy" } }, /metric accuracy .* has error/],
  ] as [Partial<FitSettings>, RegExp][])("refuses options (%#)", async (more, message) => {
    await expect(trainModel(regression(more))).rejects.toThrow(OptionError);
    await expect(trainModel(regression(more))).rejects.toThrow(message);
  });

  it("refuses a task without loss, data that never end an epoch, and labels that are no class", async () => {
    const { loss: _, ...rest } = regression();
    await expect(trainModel(rest as never)).rejects.toThrow(/either a loss or an objective/);
    const endless = { batch: () => regressionBatch(8, 3), epoch: () => 0 };
    const { steps: __, ...epochs } = regression({ data: endless });
    await expect(trainModel({ ...epochs, epochs: 1 } as FitOptions)).rejects.toThrow(/do not reach epoch 1/);
    const two = { ...options(), model: new SmallClassifier(12, 2) } as FitOptions;
    await expect(trainModel(two)).rejects.toThrow(/is 2; the model's classes are 0 to 1/);
  });
});

function pick({ name, length, classes, imageShape, normalization }: typeof train) {
  return { name, length, classes, imageShape, normalization };
}

describe("checkpoints", () => {
  const run = new MemoryRun();
  const { model, ...settings } = regression({ run, steps: 4 });
  beforeAll(async () => {
    await trainModel({ model, ...settings } as FitOptions);
  });
  afterAll(() => run.files.clear());

  it("are read as they were written", () => {
    const bytes = run.files.get("last")!;
    const checkpoint = readCheckpoint(bytes);
    expect(writeCheckpoint(checkpoint)).toEqual(bytes);
    const odd = { ...checkpoint.progress, evaluation: { loss: Number.NaN, top: Number.POSITIVE_INFINITY } };
    const again = readCheckpoint(writeCheckpoint({ state: checkpoint.state, progress: odd }));
    expect(again.progress).toEqual(odd);
  });

  it("of another form are refused", () => {
    const { state, progress } = readCheckpoint(run.files.get("last")!);
    const write = (more: object) => writeCheckpoint({ state, progress: { ...progress, ...more } });
    const read = (more: object) => () => readCheckpoint(write(more), { source: "last.safetensors" });
    expect(read({ step: -1 })).toThrow(FormatError);
    expect(read({ step: -1 })).toThrow(
      /last\.safetensors: progress\.step is -1; expected an integer of at least 0/,
    );
    expect(read({ seed: undefined })).toThrow(/progress\.seed is missing/);
    expect(read({ averages: [] })).toThrow(/progress\.averages is not an object/);
    expect(read({ best: { waited: "1" } })).toThrow(/progress\.best\.waited is "1"; expected a number/);
    expect(read({ description: 3 })).toThrow(/progress\.description is 3; expected a text/);
    expect(() => readCheckpoint(run.files.get("last")!.subarray(0, 100))).toThrow(FormatError);
    expect(() => readCheckpoint(new Uint8Array(8))).toThrow(FormatError);
  });

  it("of another model are refused, and the model stays as it is", () => {
    const { state } = readCheckpoint(run.files.get("last")!);
    const other = new TwoLayers(3, 5, 1);
    const before = stateDict(other);
    expect(() => loadWeights(other, state, { source: "best.safetensors" })).toThrow(
      /best\.safetensors does not fit the model; mis-shaped: param\.first\.weight: expected float32 \[5, 3\], found float32 \[4, 3\]/,
    );
    expect(() => loadWeights(other, new Map())).toThrow(/missing: param\.first\.weight, param\.first\.bias/);
    expect(stateDict(other)).toEqual(before);
    loadWeights(model, state);
    expect([...namedVariables(model).values()].every(({ initialized }) => initialized)).toBe(true);
  });
});
