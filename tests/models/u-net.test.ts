import { describe, expect, it } from "vitest";
import { modelMaps } from "../../src/attention/model-maps.js";
import { OptionError, ShapeError } from "../../src/base/errors.js";
import { randomInteger } from "../../src/base/random.js";
import { explain } from "../../src/explain/explain.js";
import { readTensorFile } from "../../src/formats/tensor-file.js";
import { initialize, modelParts, namedVariables, trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import { loadCheckpoint } from "../../src/models/checkpoint-load.js";
import { saveWeights } from "../../src/models/checkpoint-save.js";
import { attentionFactory } from "../../src/models/hosted-attention.js";
import * as models from "../../src/models/registry.js";
import { UNet, type UNetOptions } from "../../src/models/u-net.js";
import { unetAttention } from "../../src/models/u-net-attention.js";
import { add } from "../../src/ops/arithmetic.js";
import { release, run } from "../../src/runtime/run.js";
import { batchTypes, type TrainingBatch } from "../../src/train/data.js";
import { evaluate } from "../../src/train/evaluate.js";
import { crossEntropy, diceLoss, type Loss } from "../../src/train/losses.js";
import { meanIou } from "../../src/train/metrics.js";
import { supervised } from "../../src/train/objective.js";
import { adamW } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";
import { classes, differenceFrom, expectExport, expectTraining, images } from "./network-trial.js";
import { weightsFixture } from "./weights.js";

const small = (options: Partial<UNetOptions> = {}) => {
  const model = new UNet({ inChannels: 2, numClasses: 3, baseChannels: 4, depth: 2, ...options });
  initialize(model, { seed: 1 });
  return model;
};

const gated = () => small(unetAttention("attention-gate"));

/** Images of noise with a dark disc (class 1) and a bright square (class 2) at random places; 0 beside them. */
function shapes(count: number, seed: number): { x: TrainingBatch[string]; y: TrainingBatch[string] } {
  const side = 20;
  const x = images([count, 1, side, side], seed);
  const values = x.data as Float32Array;
  const y = new BigInt64Array(count * side * side);
  const drawn = (image: number, what: number, below: number) =>
    randomInteger({ seed, stream: `shape${what}`, step: 0 }, image, below);
  for (let image = 0; image < count; image++) {
    for (const [label, brightness] of [
      [1, -2],
      [2, 2],
    ] as const) {
      const radius = 2 + drawn(image, 3 * label, 3);
      const [row, column] = [1, 2].map((what) => 4 + drawn(image, 3 * label + what, side - 8));
      for (let pixel = 0; pixel < side * side; pixel++) {
        const [dy, dx] = [Math.floor(pixel / side) - row!, (pixel % side) - column!];
        const inside =
          label === 1 ? Math.hypot(dy, dx) <= radius : Math.max(Math.abs(dy), Math.abs(dx)) <= radius;
        if (!inside) continue;
        const at = image * side * side + pixel;
        y[at] = BigInt(label);
        values[at] = values[at]! / 2 + brightness;
      }
    }
  }
  return { x, y: { dtype: "int64", shape: [count, side, side], data: y } };
}

describe("UNet", () => {
  it.each(["transposed", "bilinear"] as const)(
    "gives PyTorch's logits with its weights: %s",
    async (upsampling) => {
      const bytes = weightsFixture("u-net.pth");
      const file = readTensorFile(bytes, { stateDict: upsampling });
      const model = small({ upsampling });
      const report = loadCheckpoint(model, file.tensors);
      expect(report).toMatchObject({ names: "torch", missing: [], unused: [], mismatched: [], kept: [] });
      expect([...report.references]).toEqual([["u-net", "milesial/Pytorch-UNet"]]);
      const others = Object.fromEntries(file.otherTensors);
      expect(await differenceFrom(model, others.input!, others[`${upsampling}_logits`]!)).toBeLessThan(1e-5);
      const saved = saveWeights(model, { names: "torch", references: ["milesial/Pytorch-UNet"] });
      expect(new Set(readTensorFile(saved).tensors.keys())).toEqual(new Set(file.tensors.keys()));
    },
  );

  it("finds the reference's names with gates too, which keep their own", () => {
    const { tensors } = readTensorFile(weightsFixture("u-net.pth"), { stateDict: "transposed" });
    const { missing, unused, mismatched, references } = loadCheckpoint(gated(), tensors, { strict: false });
    expect([...references.keys()]).toEqual(["u-net"]);
    expect([unused, mismatched]).toEqual([[], []]);
    expect(missing.length).toBeGreaterThan(0);
    expect(missing.filter((path) => !/^decoder\.\d\.gate\./.test(path))).toEqual([]);
  });

  it("takes a new head for other classes", () => {
    const { tensors } = readTensorFile(weightsFixture("u-net.pth"), { stateDict: "bilinear" });
    const model = small({ upsampling: "bilinear", numClasses: 7 });
    expect(loadCheckpoint(model, tensors, { newHead: true }).kept).toEqual(["head.weight", "head.bias"]);
  });

  it.each([
    [16, 16],
    [17, 23],
    [4, 7],
  ])("keeps the size of images of %ix%i pixels", (height, width) => {
    for (const model of [small(), small({ upsampling: "bilinear" }), gated()]) {
      const { outputs } = trace(model, { shape: [batch, 2, height, width] });
      expect([...outputs.values()].map(({ shape }) => shape)).toEqual([[batch, 3, height, width]]);
    }
  });

  it("names its features", () => {
    const model = small();
    const { taps } = trace(model, { shape: [1, 2, 12, 16] });
    expect(
      Object.fromEntries(
        Object.entries(model.features).map(([name, tap]) => [name, taps.get(tap)?.shape.slice(1)]),
      ),
    ).toEqual({
      stage1: [4, 12, 16],
      stage2: [8, 6, 8],
      stage3: [16, 3, 4],
      up1: [8, 6, 8],
      up2: [4, 12, 16],
    });
    expect(model.lastFeatures).toBe(model.features.up2);
  });

  it("refuses images that are too small, and sizes that are none", () => {
    expect(() => trace(small(), { shape: [1, 2, 3, 8] })).toThrow(ShapeError);
    expect(() => trace(small(), { shape: [1, 2, 3, 8] })).toThrow(
      "a U-Net of depth 2 takes images of at least 4x4 pixels, found 3x8",
    );
    expect(() => small({ depth: 0 })).toThrow(OptionError);
    expect(() => small({ depth: 9 })).toThrow("depth is 9; it must be an integer from 1 to 8");
    expect(() => small({ baseChannels: 1.5 })).toThrow("baseChannels is 1.5");
    const model = small({ attention: attentionFactory("sk:stride=2")! });
    expect(() => trace(model, { shape: [1, 2, 16, 16] })).toThrow("attention in a block must keep the shape");
  });

  it("hosts gates on its skip connections and other mechanisms in its blocks", () => {
    const mechanismsOf = (attention: "attention-gate" | "se") => {
      const model = models.create("unet", { attention, depth: 2, baseChannels: 16 });
      return [...modelParts(model)].filter(([part]) => "signature" in part).map(([, path]) => path);
    };
    expect(mechanismsOf("attention-gate")).toEqual(["decoder.0.gate", "decoder.1.gate"]);
    expect(mechanismsOf("se")).toEqual([
      ...[0, 1, 2].map((level) => `encoder.${level}.se`),
      ...[0, 1].map((level) => `decoder.${level}.block.se`),
    ]);
    const plain = models.create("unet", {
      attention: "attention-gate:outputTransform=false,innerChannels=3",
    });
    const theta = [...namedVariables(plain)].find(([path]) => path === "decoder.3.gate.theta.weight");
    expect(theta?.[1].shape).toEqual([3, 64, 2, 2]);
    expect(() => models.create("unet", { attention: "attention-gate:subSample=0" })).toThrow(OptionError);
    expect(() => models.create("resnet18", { attention: "attention-gate" })).toThrow(
      "gateChannels is missing",
    );
  });

  it.each<[string, () => UNet, Loss]>([
    ["transposed, cross-entropy", small, crossEntropy],
    ["bilinear, Dice", () => small({ upsampling: "bilinear" }), diceLoss],
    [
      "gated, both",
      gated,
      (output, targets) => add(crossEntropy(output, targets), diceLoss(output, targets)),
    ],
  ])("lowers the loss in a step of training: %s", async (_name, create, loss) => {
    await expectTraining(create(), { x: images([2, 2, 12, 9]), y: classes([2, 12, 9], 3) }, { loss });
  });

  it("is exported for any batch size", async () => {
    await expectExport(gated(), images([2, 2, 9, 12]));
    await expectExport(small({ upsampling: "bilinear" }), images([2, 2, 9, 12]));
  });
});

describe("a gated U-Net that is trained on shapes", () => {
  it("finds their pixels, and shows where its gates open", async () => {
    const model = new UNet({
      inChannels: 1,
      numClasses: 3,
      baseChannels: 8,
      depth: 2,
      ...unetAttention("attention-gate"),
    });
    const loss: Loss = (output, targets) => add(crossEntropy(output, targets), diceLoss(output, targets));
    const test = shapes(16, 1000);
    const task = { model, loss, metrics: { meanIou } };
    const data = { batches: () => [test] };
    initialize(model, { seed: 1 });
    const before = await evaluate({ ...task, data });
    const trainer = await Trainer.create({
      model,
      objective: supervised(task),
      inputs: batchTypes(shapes(8, 0)),
      optimizer: adamW(),
      schedule: 0.01,
      seed: 1,
    });
    for (let step = 0; step < 40; step++) await trainer.step(shapes(8, step));
    await trainer.syncToModel();
    await trainer.close();
    const after = await evaluate({ ...task, data });
    // All background would be about 0.3, as two classes of three are missed.
    expect(before.confusion!.meanIou).toBeLessThan(0.4);
    expect(after.confusion!.meanIou).toBeGreaterThan(0.75);
    expect(after.metrics.meanIou).toBeGreaterThan(0.7);

    const taps = modelMaps(model).map(({ tap }) => tap);
    expect(taps).toEqual(["decoder.0.gate.attention", "decoder.1.gate.attention"]);
    const { maps } = await explain(model, { ...test.x, shape: [1, 20, 20], data: test.x.data.slice(0, 400) });
    expect(maps.map(({ tap }) => tap)).toEqual(taps);
    const found = await run(model, test.x, { taps });
    await release(model);
    const gate = found.taps["decoder.1.gate.attention"]!;
    expect(gate.shape).toEqual([16, 1, 20, 20]);
    const opened = [...gate.data].map(Number);
    expect(Math.min(...opened)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...opened)).toBeLessThanOrEqual(1);
    // It depends on the place.
    expect(Math.max(...opened) - Math.min(...opened)).toBeGreaterThan(0.1);
  });
});
