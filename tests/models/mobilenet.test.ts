import { describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import { OptionError, ShapeError } from "../../src/base/errors.js";
import { readTensorFile } from "../../src/formats/tensor-file.js";
import { initialize, type Model, modelParts, trace } from "../../src/graph/model.js";
import { loadCheckpoint } from "../../src/models/checkpoint-load.js";
import { saveWeights } from "../../src/models/checkpoint-save.js";
import { attentionFactory } from "../../src/models/hosted-attention.js";
import type { MobileNet } from "../../src/models/mobilenet.js";
import { MobileNetV2, type MobileNetV2Options } from "../../src/models/mobilenet-v2.js";
import { MobileNetV3, type MobileNetV3Options } from "../../src/models/mobilenet-v3.js";
import * as models from "../../src/models/registry.js";
import { emitModel } from "../../src/onnx/emit.js";
import { classes, differenceFrom, expectExport, expectTraining, images } from "./network-trial.js";
import { weightsFixture } from "./weights.js";

/** As in scripts/pytorch/image_networks.py. */
const smallV2 = (options: Partial<MobileNetV2Options> = {}) =>
  new MobileNetV2({
    inChannels: 3,
    numClasses: 5,
    widthMultiplier: 0.5,
    stages: [
      { expansion: 1, channels: 8, blocks: 1, stride: 1 },
      { expansion: 6, channels: 8, blocks: 2, stride: 2 },
    ],
    ...options,
  });

const relu = { attention: false, activation: "relu" } as const;
const hard = { attention: true, activation: "hardSwish" } as const;
const smallV3 = (options: Partial<MobileNetV3Options> = {}) =>
  new MobileNetV3({
    architecture: {
      stem: 8,
      blocks: [
        { ...relu, kernel: 3, expanded: 8, channels: 8, attention: true, stride: 2 },
        { ...relu, kernel: 3, expanded: 24, channels: 16, stride: 2 },
        { ...hard, kernel: 5, expanded: 72, channels: 16, stride: 1 },
        { ...hard, kernel: 5, expanded: 40, channels: 16, stride: 1 },
      ],
      hidden: 24,
    },
    inChannels: 3,
    numClasses: 5,
    ...options,
  });

const shapesOf = (model: MobileNet, size: number) => {
  const { taps } = trace(model, { shape: [1, 3, size, size] });
  return Object.fromEntries(
    Object.entries(model.features).map(([name, tap]) => [name, taps.get(tap)?.shape.slice(1)]),
  );
};

const kinds = [
  ["mobilenet-v2", smallV2],
  ["mobilenet-v3", smallV3],
] as const;

describe.each(kinds)("%s", (name, create) => {
  it("gives torchvision's logits with torchvision's weights, and saves them under the same keys", async () => {
    const file = readTensorFile(weightsFixture(`${name}.pth`));
    const model = create();
    const report = loadCheckpoint(model, file.tensors);
    expect(report).toMatchObject({ names: "torch", missing: [], unused: [], mismatched: [], kept: [] });
    const { input, logits } = Object.fromEntries(file.otherTensors);
    expect(await differenceFrom(model, input!, logits!)).toBeLessThan(1e-5);
    const saved = readTensorFile(saveWeights(model, { names: "torch" })).tensors;
    expect(new Set(saved.keys())).toEqual(new Set(file.tensors.keys()));
  });

  it("is fine-tuned with a head for other classes", () => {
    const { tensors } = readTensorFile(weightsFixture(`${name}.pth`));
    const { kept } = loadCheckpoint(create({ numClasses: 3 }), tensors, { newHead: true });
    const last = name === "mobilenet-v2" ? "classifier.1" : "classifier.3";
    expect(kept).toEqual([`${last}.weight`, `${last}.bias`]);
  });

  it("has its weights under the same names with another mechanism, or none", () => {
    const { tensors } = readTensorFile(weightsFixture(`${name}.pth`));
    const coord = attentionFactory("coord")!;
    const loadedInto = (model: MobileNet) => loadCheckpoint(initialized(model), tensors, { strict: false });
    const replaced = loadedInto(create({ attention: coord }));
    expect(replaced.mismatched).toEqual([]);
    const own = /\.se\.|block\.\d\.(fc|conv|bn)/;
    expect(replaced.missing.filter((path) => !own.test(path))).toEqual([]);
    const none = loadedInto(name === "mobilenet-v2" ? smallV2() : smallV3({ attention: "none" }));
    expect(none).toMatchObject({ missing: [], mismatched: [] });
    expect(none.unused.filter((key) => !/block\.\d\.fc\d/.test(key))).toEqual([]);
  });

  it("lowers the loss in a step of training", async () => {
    await expectTraining(create({ dropout: 0 }), { x: images([4, 3, 32, 32]), y: classes([4], 5) });
  });

  it("is exported for any batch size", async () => {
    await expectExport(initialized(create()), images([2, 3, 24, 40]));
  });

  it("refuses a width that is none, and attention that does not keep the shape", () => {
    expect(() => create({ widthMultiplier: 0 })).toThrow(OptionError);
    expect(() => create({ widthMultiplier: Number.NaN })).toThrow("widthMultiplier is NaN");
    const model = create({ attention: attentionFactory("sk:stride=2")! });
    expect(() => trace(model, { shape: [1, 3, 64, 64] })).toThrow(ShapeError);
  });
});

/** The network's inference as ONNX, its variables as inputs: equal for networks that compute the same from the same names. */
function encoded(model: Model): Uint8Array {
  const graph = trace(model, { shape: [1, 3, 64, 64] });
  const target = { kind: "portable", opset: 20 } as const;
  return emitModel({ ...graph, target, variablesAs: "inputs", producerVersion: "0" }).bytes;
}

function initialized<M extends MobileNet>(model: M): M {
  initialize(model, { seed: 1 });
  return model;
}

describe("MobileNetV2", () => {
  it("has the feature maps of table 2", () => {
    const model = models.create("mobilenet_v2") as MobileNetV2;
    expect(shapesOf(model, 224)).toEqual({
      stem: [32, 112, 112],
      stage1: [16, 112, 112],
      stage2: [24, 56, 56],
      stage3: [32, 28, 28],
      stage4: [96, 14, 14],
      stage5: [320, 7, 7],
      head: [1280, 7, 7],
    });
    expect(model.lastFeatures).toBe("head");
  });

  it("hosts attention after every depthwise convolution", () => {
    const paths = [...modelParts(models.create("mobilenet_v2", { attention: "eca" })).values()];
    expect(paths.filter((path) => path.endsWith(".se"))).toEqual(
      Array.from({ length: 17 }, (_, index) => `features.${index + 1}.se`),
    );
  });
});

describe("MobileNetV3", () => {
  it("has the feature maps of tables 1 and 2", () => {
    expect(shapesOf(models.create("mobilenet_v3_large") as MobileNetV3, 224)).toEqual({
      stem: [16, 112, 112],
      stage1: [16, 112, 112],
      stage2: [24, 56, 56],
      stage3: [40, 28, 28],
      stage4: [112, 14, 14],
      stage5: [160, 7, 7],
      head: [960, 7, 7],
    });
    expect(shapesOf(models.create("mobilenet_v3_small") as MobileNetV3, 224)).toEqual({
      stem: [16, 112, 112],
      stage1: [16, 56, 56],
      stage2: [24, 28, 28],
      stage3: [48, 14, 14],
      stage4: [96, 7, 7],
      head: [576, 7, 7],
    });
  });

  const squeezes = (attention: models.ModelInfo["defaults"]["attention"] & string) =>
    [...modelParts(models.create("mobilenet_v3_large", { attention })).keys()].filter(
      (part) => part instanceof SqueezeExcitation,
    );

  it("squeezes to a quarter in multiples of 8, and gates hard, unless told otherwise", () => {
    const usual = squeezes("se");
    expect(usual.map(({ fc1 }) => fc1.weight.shape[0])).toEqual([24, 32, 32, 120, 168, 168, 240, 240]);
    expect(usual.every(({ options }) => options.gate === "hardSigmoid")).toBe(true);
    const other = squeezes("se:reduction=8,gate=sigmoid");
    expect(other.map(({ fc1 }) => fc1.weight.shape[0])).toEqual([9, 15, 15, 60, 84, 84, 120, 120]);
    expect(other.every(({ options }) => options.gate === "sigmoid")).toBe(true);
  });

  it("hosts another mechanism where it squeezes", () => {
    const placesOf = (attention: "se" | "cbam") =>
      [...modelParts(models.create("mobilenet_v3_small", { attention }))]
        .filter(([part]) => (part.constructor as { about?: { id?: string } }).about?.id === attention)
        .map(([, path]) => path);
    expect(placesOf("cbam")).toEqual(placesOf("se"));
    expect(placesOf("se").slice(0, 2)).toEqual(["features.1.block.1", "features.4.block.2"]);
  });

  it("has the paper's squeeze-and-excitation by default as the registry's has", () => {
    const options = { architecture: "small", inChannels: 3, numClasses: 1000 } as const;
    expect(encoded(new MobileNetV3(options))).toEqual(encoded(models.create("mobilenet_v3_small")));
  });
});
