import { afterEach, describe, expect, it } from "vitest";
import { CBAM } from "../../src/attention/channel-spatial/cbam.js";
import { MultiHeadAttention } from "../../src/attention/transformer/mha.js";
import { TransformerDecoderLayer } from "../../src/attention/transformer/transformer-decoder-layer.js";
import { TransformerEncoderLayer } from "../../src/attention/transformer/transformer-encoder-layer.js";
import { VisionTransformer } from "../../src/attention/transformer/vit.js";
import { FormatError } from "../../src/base/errors.js";
import { type FileTensor, toHostTensor } from "../../src/formats/file-tensor.js";
import { writeSafetensors } from "../../src/formats/safetensors.js";
import { readTensorFile } from "../../src/formats/tensor-file.js";
import { type Model, namedVariables } from "../../src/graph/model.js";
import { type LoadCheckpointOptions, loadCheckpoint } from "../../src/models/checkpoint-load.js";
import { saveWeights } from "../../src/models/checkpoint-save.js";
import { attentionFactory } from "../../src/models/hosted-attention.js";
import { BasicBlock } from "../../src/models/residual-block.js";
import { ResNet } from "../../src/models/resnet.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Conv2d } from "../../src/nn/conv.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { stateDict } from "../../src/nn/state-dict.js";
import { release, run } from "../../src/runtime/run.js";
import { largestDifference } from "../support/difference.js";
import { scatter, valuesOf, weightsFixture } from "./weights.js";

const seResNet = (numClasses = 5) =>
  new ResNet({
    block: BasicBlock,
    stem: "imagenet",
    layers: [2, 2, 2, 2],
    channels: [8, 8, 8, 16],
    inChannels: 3,
    numClasses,
    attention: attentionFactory("se"),
  });

const models: Model[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await release(model);
});

function isTensor(inputs: Readonly<Record<string, FileTensor>> | FileTensor): inputs is FileTensor {
  return inputs.data instanceof Uint8Array;
}

/** Worst difference of what a model gives from a stored output. */
async function differenceFrom(
  model: Model,
  inputs: Readonly<Record<string, FileTensor>> | FileTensor,
  output: FileTensor,
): Promise<number> {
  models.push(model);
  const given = isTensor(inputs)
    ? toHostTensor(inputs)
    : Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, toHostTensor(tensor)]));
  const { outputs } = await run(model, given);
  const [found, expected] = [outputs.y!, toHostTensor(output)].map(({ data }) => [...data].map(Number));
  return largestDifference(found!, expected!);
}

describe("what PyTorch wrote gives PyTorch's numbers:", () => {
  it("an SE-ResNet-18 of timm", async () => {
    const file = readTensorFile(weightsFixture("se-resnet.pth"));
    const model = seResNet();
    const report = loadCheckpoint(model, file.tensors);
    expect(report).toMatchObject({ names: "torch", missing: [], unused: [], mismatched: [], kept: [] });
    expect(report.loaded.length).toBe(namedVariables(model).size);
    const { input, logits } = Object.fromEntries(file.otherTensors);
    expect(await differenceFrom(model, input!, logits!)).toBeLessThan(1e-5);
  });

  it("a vision transformer of torchvision", async () => {
    const file = readTensorFile(weightsFixture("vit.pth"));
    const model = new VisionTransformer({
      imageSize: 8,
      patchSize: 4,
      depth: 2,
      heads: 2,
      embedDim: 8,
      mlpRatio: 2,
      numClasses: 3,
    });
    expect([...loadCheckpoint(model, file.tensors).references]).toEqual([["vit", "pytorch/vision"]]);
    const { input, logits } = Object.fromEntries(file.otherTensors);
    expect(await differenceFrom(model, input!, logits!)).toBeLessThan(1e-5);
  });

  it.each<[string, string, () => Model]>([
    ["mha", "pytorch/pytorch", () => new MultiHeadAttention({ embedDim: 6, heads: 3 })],
    [
      "mha_cross",
      "pytorch/pytorch",
      () =>
        new MultiHeadAttention({
          embedDim: 6,
          heads: 3,
          keyDim: 4,
          valueDim: 5,
          addBiasKv: true,
          addZeroAttn: true,
        }),
    ],
    [
      "encoder",
      "pytorch/pytorch",
      () => new TransformerEncoderLayer({ embedDim: 6, heads: 2, feedForwardDim: 5 }),
    ],
    [
      "decoder",
      "pytorch/pytorch",
      () => new TransformerDecoderLayer({ embedDim: 6, heads: 2, feedForwardDim: 5 }),
    ],
    ["cbam", "Jongchan/attention-module", () => new CBAM({ channels: 8, reduction: 4, mlpBias: true })],
  ])("%s of %s", async (name, reference, create) => {
    const bytes = weightsFixture("layers.pth");
    const file = readTensorFile(bytes, { stateDict: name });
    const model = create();
    expect([...loadCheckpoint(model, file.tensors).references.values()]).toEqual([reference]);
    const { y, ...inputs } = Object.fromEntries(readTensorFile(bytes, { stateDict: `${name}_case` }).tensors);
    expect(await differenceFrom(model, name === "cbam" ? inputs.x! : inputs, y!)).toBeLessThan(1e-5);
    // And it is saved as PyTorch keeps it, but for counters, which begin anew.
    const saved = readTensorFile(saveWeights(model, { names: "torch", references: [reference] })).tensors;
    expect(new Set(saved.keys())).toEqual(new Set(file.tensors.keys()));
    for (const [key, { shape, data, dtype }] of file.tensors) {
      expect([...saved.get(key)!.shape], key).toEqual([...shape]);
      if (dtype !== "int64") expect(Buffer.compare(saved.get(key)!.data, data), key).toBe(0);
    }
  });
});

/** A host whose parts have names of two words. */
class Net extends Module {
  readonly firstConv = new Conv2d({ inChannels: 2, outChannels: 16, kernel: 1 });
  readonly bn1 = new BatchNorm({ channels: 16 });
  readonly attnBlocks = [new CBAM({ channels: 16 }), new CBAM({ channels: 16 })];
  readonly fc: Linear;

  constructor(classes = 3) {
    super();
    this.fc = new Linear({ inFeatures: 16, outFeatures: classes });
  }
}

function torchTensors(model: Model, references: readonly string[] = []): Map<string, FileTensor> {
  return new Map(readTensorFile(saveWeights(model, { names: "torch", references })).tensors);
}

/** Refused without a change of the model; the message. */
function refusal(
  model: Model,
  tensors: ReadonlyMap<string, FileTensor>,
  options?: LoadCheckpointOptions,
): string {
  const before = valuesOf(model);
  let message = "";
  expect(() => {
    try {
      loadCheckpoint(model, tensors, options);
    } catch (error) {
      message = (error as Error).message;
      throw error;
    }
  }).toThrow(FormatError);
  expect(valuesOf(model)).toEqual(before);
  return message;
}

describe("names", () => {
  const source = scatter(new Net(), 1);

  it.each([[[]], [["Jongchan/attention-module"]]])(
    "are found out, mechanisms inside included: %j",
    (references) => {
      const tensors = torchTensors(source, references);
      for (const prefix of ["", "module.", "module._orig_mod."]) {
        const model = scatter(new Net(), 2);
        const wrapped = new Map([...tensors].map(([key, tensor]) => [prefix + key, tensor]));
        const report = loadCheckpoint(model, wrapped);
        expect(report.names).toBe("torch");
        expect([...report.references]).toEqual(references.map((reference) => ["cbam", reference]));
        expect(valuesOf(model)).toEqual(valuesOf(source));
      }
    },
  );

  it("are ours where they fit", () => {
    const model = scatter(new Net(), 2);
    expect(loadCheckpoint(model, readTensorFile(saveWeights(source)).tensors).names).toBe("fovea");
    expect(valuesOf(model)).toEqual(valuesOf(source));
  });

  it("can be given", () => {
    const message = refusal(scatter(new Net(), 2), torchTensors(source), {
      names: "fovea",
      source: "net.pth",
    });
    expect(message).toMatch(/^net\.pth with fovea names does not fit the model; missing \(/);
    expect(message).toContain("unused (21): attn_blocks.0.spatial.conv.bn.num_batches_tracked");
  });
});

describe("values", () => {
  it("of any floating point become float32; counters are ignored", () => {
    const tensors = torchTensors(scatter(new Net(), 1));
    const half = new Uint16Array(32).fill(0x3e00); // 1.5
    const brain = new Uint16Array(16).fill(0xbf80); // -1
    const double = Float64Array.from({ length: 16 }, (_, index) => 0.1 * index);
    const bytes = (values: ArrayBufferView) => new Uint8Array(values.buffer);
    tensors.set("first_conv.weight", { dtype: "float16", shape: [16, 2, 1, 1], data: bytes(half) });
    tensors.set("first_conv.bias", { dtype: "bfloat16", shape: [16], data: bytes(brain) });
    tensors.set("bn1.bias", { dtype: "float64", shape: [16], data: bytes(double) });
    expect(tensors.has("bn1.num_batches_tracked")).toBe(true);
    const model = scatter(new Net(), 2);
    loadCheckpoint(model, tensors);
    expect(valuesOf(model)).toMatchObject({
      "firstConv.weight": Array(32).fill(1.5),
      "firstConv.bias": Array(16).fill(-1),
      "bn1.bias": [...Float32Array.from(double)],
    });
    tensors.delete("bn1.num_batches_tracked");
    expect(loadCheckpoint(model, tensors).missing).toEqual([]);
  });

  it("can be the host's", () => {
    const source = scatter(new Net(), 1);
    const model = scatter(new Net(), 2);
    loadCheckpoint(model, stateDict(source));
    expect(valuesOf(model)).toEqual(valuesOf(source));
    expect(model.fc.weight.value).not.toBe(source.fc.weight.value);
  });

  it("are copies", () => {
    const file = saveWeights(scatter(new Net(), 1));
    const model = new Net();
    loadCheckpoint(model, readTensorFile(file).tensors);
    const before = valuesOf(model);
    file.fill(0);
    expect(valuesOf(model)).toEqual(before);
  });
});

describe("strict loading", () => {
  it("lists what is missing, unused and mis-shaped, in one error, and changes nothing", () => {
    const tensors = torchTensors(scatter(new Net(), 1));
    tensors.delete("bn1.running_mean");
    tensors.set("extra.weight", tensors.get("fc.bias")!);
    tensors.set("first_conv.bias", { ...tensors.get("first_conv.bias")!, dtype: "int32" });
    tensors.set("fc.weight", { ...tensors.get("fc.weight")!, shape: [16, 3] });
    const message = refusal(scatter(new Net(), 2), tensors);
    expect(message).toBe(
      "checkpoint with torch names does not fit the model; missing (1): bn1.runningMean; unused (1): extra.weight; " +
        "mis-shaped (2): first_conv.bias (here firstConv.bias): expected float32 [16], found int32 [16]; " +
        "fc.weight: expected float32 [3, 16], found float32 [16, 3]",
    );
  });

  it("bounds the error", () => {
    const tensor = torchTensors(new Net()).get("fc.bias")!;
    const tensors = new Map(
      Array.from({ length: 5000 }, (_, index) => [`${"x".repeat(1000)}.${index}`, tensor]),
    );
    const message = refusal(scatter(new Net(), 2), tensors);
    expect(message).toContain("and 4990 more");
    expect(message.length).toBeLessThan(5000);
  });

  it("refuses two keys of one tensor", () => {
    const tensors = torchTensors(scatter(new Net(), 1));
    tensors.set("firstConv.bias", tensors.get("first_conv.bias")!);
    expect(refusal(scatter(new Net(), 2), tensors)).toContain('are both "firstConv.bias" here');
  });

  it("refuses damaged values before anything is written", () => {
    const tensors = torchTensors(scatter(new Net(), 1));
    tensors.set("fc.bias", { ...tensors.get("fc.bias")!, data: new Uint8Array(8) });
    expect(refusal(scatter(new Net(), 2), tensors)).toContain("does not fit its 8 bytes");
  });

  it("refuses an empty file", () => {
    expect(refusal(scatter(new Net(), 2), readTensorFile(writeSafetensors([])).tensors)).toContain(
      "missing (",
    );
  });
});

it("loads what fits where it is not strict", () => {
  const tensors = torchTensors(scatter(new Net(), 1));
  tensors.delete("bn1.weight");
  tensors.set("extra", tensors.get("fc.bias")!);
  tensors.set("fc.weight", { ...tensors.get("fc.weight")!, shape: [16, 3] });
  const model = scatter(new Net(), 2);
  const before = valuesOf(model);
  const report = loadCheckpoint(model, tensors, { strict: false });
  expect(report).toMatchObject({ missing: ["bn1.weight"], unused: ["extra"], kept: [] });
  expect(report.mismatched).toEqual(["fc.weight: expected float32 [3, 16], found float32 [16, 3]"]);
  const { "bn1.weight": weight, "fc.weight": head, ...loaded } = valuesOf(model);
  expect([weight, head]).toEqual([before["bn1.weight"], before["fc.weight"]]);
  expect(valuesOf(scatter(new Net(), 1))).toMatchObject(loaded);
  expect(report.loaded).toEqual(Object.keys(loaded));
});

describe("a new head", () => {
  const tensors = torchTensors(scatter(new Net(3), 1));

  it.each([true, "fc.*"])("keeps the network's own (%s)", (newHead) => {
    const model = scatter(new Net(7), 2);
    const before = valuesOf(model);
    const report = loadCheckpoint(model, tensors, { newHead });
    expect(report.kept).toEqual(["fc.weight", "fc.bias"]);
    const after = valuesOf(model);
    expect([after["fc.weight"], after["fc.bias"]]).toEqual([before["fc.weight"], before["fc.bias"]]);
    expect(after["firstConv.weight"]).toEqual(valuesOf(scatter(new Net(3), 1))["firstConv.weight"]);
  });

  it("is initialized by seed where it has no values yet", () => {
    const model = new Net(7);
    loadCheckpoint(model, tensors, { newHead: true });
    expect(model.fc.weight.initialized).toBe(false);
    expect(model.bn1.weight.initialized).toBe(true);
  });

  it("may be absent from the file", () => {
    const headless = new Map([...tensors].filter(([key]) => !key.startsWith("fc.")));
    expect(loadCheckpoint(scatter(new Net(7), 2), headless, { newHead: true }).kept).toEqual([
      "fc.weight",
      "fc.bias",
    ]);
    expect(refusal(scatter(new Net(7), 2), headless)).toContain("missing (2): fc.weight, fc.bias");
  });

  it("is the file's where it fits", () => {
    const model = scatter(new Net(3), 2);
    expect(loadCheckpoint(model, tensors, { newHead: true }).kept).toEqual([]);
    expect(valuesOf(model)).toEqual(valuesOf(scatter(new Net(3), 1)));
  });

  it("excuses nothing else", () => {
    const other = new Map(tensors).set("bn1.weight", { ...tensors.get("bn1.weight")!, shape: [4, 4] });
    expect(refusal(scatter(new Net(7), 2), other, { newHead: true })).toContain("mis-shaped (1): bn1.weight");
    const narrow = new Map(tensors).set("fc.weight", { ...tensors.get("fc.weight")!, shape: [6, 8] });
    expect(refusal(scatter(new Net(7), 2), narrow, { newHead: true })).toContain("mis-shaped (1): fc.weight");
    expect(refusal(scatter(new Net(7), 2), tensors)).toContain("mis-shaped (2): fc.weight");
  });

  it("of a timm network", () => {
    const file = readTensorFile(weightsFixture("se-resnet.pth"));
    expect(loadCheckpoint(seResNet(9), file.tensors, { newHead: true }).kept).toEqual([
      "fc.weight",
      "fc.bias",
    ]);
  });
});
