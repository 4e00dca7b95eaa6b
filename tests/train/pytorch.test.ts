import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { BasicBlock } from "../../src/models/residual-block.js";
import { ResNet } from "../../src/models/resnet.js";
import { loadStateDict } from "../../src/nn/state-dict.js";
import { compile } from "../../src/runtime/executable.js";
import type { TrainingBatch } from "../../src/train/data.js";
import { crossEntropy, type Loss } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { adamW, type Optimizer, sgd } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";
import { buildTrainingStep } from "../../src/train/training-step.js";

const file = readSafetensors(
  readFileSync(new URL("../fixtures/pytorch/se-resnet-training.safetensors", import.meta.url)),
);

interface Variant {
  readonly lr: number;
  readonly momentum: number;
  readonly weightDecay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly labelSmoothing: number;
  readonly classWeights: readonly number[];
  readonly clipGradNorm: number;
}
interface SeResNetCase {
  readonly widths: readonly number[];
  readonly blocks: readonly number[];
  readonly classes: number;
  readonly se: { readonly reduction: number; readonly reductionDivisor: number };
}
const {
  model: network,
  variants,
  parameters,
} = JSON.parse(file.metadata.case!) as {
  model: SeResNetCase;
  variants: Readonly<Record<"sgd" | "nesterov" | "adamw", Variant>>;
  parameters: readonly string[];
};

/** A float64 tensor of the file. */
function doubles(name: string): Float64Array {
  const { data } = file.tensors.get(name)!;
  return new Float64Array(new Uint8Array(data).buffer);
}

function tensor(name: string): HostTensor {
  return toHostTensor(file.tensors.get(name)!, name);
}

/** The tensors under a prefix, by the rest of their names. */
function tensorsUnder(prefix: string): Map<string, HostTensor> {
  const names = [...file.tensors.keys()].filter((name) => name.startsWith(prefix));
  return new Map(names.map((name) => [name.slice(prefix.length), tensor(name)]));
}

function batchOf(step: number): TrainingBatch {
  const index = Number(tensor("batch.order").data[step]);
  const part = (name: string): HostTensor => {
    const { dtype, shape, data } = tensor(name);
    const size = data.length / shape[0]!;
    return { dtype, shape: shape.slice(1), data: data.slice(index * size, (index + 1) * size) };
  };
  return { x: part("batch.x"), y: part("batch.y") };
}

function seResNet(): ResNet {
  const { widths, blocks, classes, se } = network;
  const model = new ResNet({
    block: BasicBlock,
    stem: "small",
    layers: blocks,
    channels: widths,
    inChannels: 3,
    numClasses: classes,
    attention: (channels) =>
      new SqueezeExcitation({ channels, reduction: se.reduction, reductionDivisor: se.reductionDivisor }),
  });
  loadStateDict(model, new Map([...tensorsUnder("param."), ...tensorsUnder("buffer.")]));
  return model;
}

/** max|a - b| / max|b|. */
function deviation(actual: HostTensor, expected: HostTensor): number {
  expect(actual.shape).toEqual(expected.shape);
  let difference = 0;
  let largest = 0;
  for (let index = 0; index < expected.data.length; index++) {
    difference = Math.max(difference, Math.abs(Number(actual.data[index]) - Number(expected.data[index])));
    largest = Math.max(largest, Math.abs(Number(expected.data[index])));
  }
  return difference / largest;
}

/** The worst deviation over the tensors under a prefix. */
function worst(actual: ReadonlyMap<string, HostTensor>, prefix: string, kind = ""): number {
  const expected = tensorsUnder(prefix);
  expect(expected.size).toBeGreaterThan(0);
  return Math.max(...[...expected].map(([path, value]) => deviation(actual.get(kind + path)!, value)));
}

const optimizers: Readonly<Record<keyof typeof variants, Optimizer>> = {
  sgd: sgd({ momentum: variants.sgd.momentum, weightDecay: variants.sgd.weightDecay }),
  nesterov: sgd({
    momentum: variants.nesterov.momentum,
    weightDecay: variants.nesterov.weightDecay,
    nesterov: true,
  }),
  adamw: adamW({
    beta1: variants.adamw.betas[0],
    beta2: variants.adamw.betas[1],
    epsilon: variants.adamw.eps,
    weightDecay: variants.adamw.weightDecay,
  }),
};

const smoothed: Loss = (logits, labels) => {
  const { labelSmoothing, classWeights } = variants.adamw;
  return crossEntropy(logits, labels, { labelSmoothing, classWeights });
};

function definition(model: ResNet, variant: keyof typeof variants) {
  return {
    model,
    objective: supervised({ model, loss: variant === "adamw" ? smoothed : crossEntropy }),
    inputs: { x: { shape: [8, 3, 16, 16] }, y: { shape: [8], dtype: "int64" as const } },
    optimizer: optimizers[variant],
    ...(variant === "adamw" ? { clip: { norm: variants.adamw.clipGradNorm } } : {}),
  };
}

let trainer: Trainer | undefined;
afterEach(async () => {
  await trainer?.close();
  trainer = undefined;
});

async function createTrainer(variant: keyof typeof variants): Promise<Trainer> {
  trainer = await Trainer.create({ ...definition(seResNet(), variant), schedule: variants[variant].lr });
  return trainer;
}

function relativeErrors(found: readonly number[], expected: ArrayLike<number>): number {
  return Math.max(...found.map((loss, step) => Math.abs(loss - expected[step]!) / expected[step]!));
}

describe("training of an SE-ResNet against PyTorch in float64", () => {
  it("the first step's gradients", async () => {
    const model = seResNet();
    const step = buildTrainingStep(definition(model, "sgd"));
    expect(step.trained).toEqual(parameters);
    const { graph } = step.traced;
    const executable = await compile({ ...graph, outputs: step.gradients, updates: new Map() });
    const { outputs } = await executable.run(batchOf(0));
    await executable.close();
    expect(worst(new Map(Object.entries(outputs)), "gradParam.")).toBeLessThan(1e-5);
  });

  it("SGD with momentum and weight decay: losses, parameters and running statistics", async () => {
    const trained = await createTrainer("sgd");
    const losses: number[] = [];
    for (let step = 0; step < 20; step++) {
      const { loss } = await trained.step(batchOf(step));
      losses.push(loss);
      if (step !== 0 && step !== 4) continue;
      const state = await trained.state();
      expect(worst(state, `after${step + 1}.param.`, "param.")).toBeLessThan(1e-5);
      expect(worst(state, `after${step + 1}.buffer.`, "buffer.")).toBeLessThan(1e-5);
    }
    const expected = doubles("losses.sgd");
    expect(relativeErrors(losses.slice(0, 5), expected)).toBeLessThan(1e-5);
    expect(relativeErrors(losses, expected)).toBeLessThan(1e-3);
  });

  it("Nesterov momentum", async () => {
    const trained = await createTrainer("nesterov");
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) losses.push((await trained.step(batchOf(step))).loss);
    expect(relativeErrors(losses, doubles("losses.nesterov"))).toBeLessThan(1e-5);
    expect(worst(await trained.state(), "nesterov.after5.param.", "param.")).toBeLessThan(1e-5);
  });

  it("AdamW with label smoothing, class weights and clipping", async () => {
    const trained = await createTrainer("adamw");
    const losses: number[] = [];
    const norms: number[] = [];
    for (let step = 0; step < 5; step++) {
      const { loss, gradientNorm } = await trained.step(batchOf(step));
      losses.push(loss);
      norms.push(gradientNorm);
    }
    expect(relativeErrors(losses, doubles("losses.adamw"))).toBeLessThan(1e-5);
    expect(relativeErrors(norms, doubles("adamw.totalNorm"))).toBeLessThan(1e-5);
    // Where a gradient is tiny, Adam's step magnifies rounding: the reference's own notes give 5e-6 for a disturbance of 1e-7.
    expect(worst(await trained.state(), "adamw.after5.param.", "param.")).toBeLessThan(2e-5);
  });
});
