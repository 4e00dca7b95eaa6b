import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { OptionError } from "../../src/base/errors.js";
import { initialize, namedVariables, trace } from "../../src/graph/model.js";
import { BasicBlock, Bottleneck } from "../../src/models/residual-block.js";
import { ResNet, type ResNetOptions } from "../../src/models/resnet.js";
import { selectiveKernelBasicBlock } from "../../src/models/selective-kernel-block.js";
import { shortcut } from "../../src/models/shortcut.js";
import { splitAttentionBottleneck } from "../../src/models/split-attention-block.js";
import { run } from "../../src/runtime/run.js";

const small = {
  block: BasicBlock,
  stem: "small",
  layers: [1, 2],
  channels: [4, 6],
  inChannels: 3,
  numClasses: 5,
} satisfies ResNetOptions;

const shapesOf = (model: ResNet, size: number) => {
  const { taps } = trace(model, { shape: [1, 3, size, size] });
  return Object.fromEntries(
    Object.entries(model.features).map(([name, tap]) => [name, taps.get(tap)?.shape.slice(1)]),
  );
};

describe("ResNet", () => {
  it("names its features, whatever the stem", () => {
    const plain = new ResNet(small);
    expect(shapesOf(plain, 16)).toEqual({ stem: [4, 16, 16], stage1: [4, 16, 16], stage2: [6, 8, 8] });
    expect(plain.lastFeatures).toBe("layer2.1.output");
    expect(shapesOf(new ResNet({ ...small, stem: "imagenet" }), 32)).toMatchObject({ stem: [64, 8, 8] });
    const deep = new ResNet({ ...small, stem: "deep", stemWidth: 5, block: Bottleneck });
    expect(shapesOf(deep, 32)).toEqual({ stem: [10, 8, 8], stage1: [16, 8, 8], stage2: [24, 4, 4] });
  });

  it("names the parameters of a deep stem and an averaged shortcut as timm does", () => {
    const model = new ResNet({ ...small, stem: "deep", stemWidth: 5, shortcut: "averagedProjection" });
    const names = [...namedVariables(model).keys()].filter((name) => name.endsWith("weight"));
    expect(names).toEqual(
      [
        ...["conv1.0", "conv1.1", "conv1.3", "conv1.4", "conv1.6", "bn1"],
        ...["conv1", "bn1", "conv2", "bn2", "downsample.1", "downsample.2"].map((name) => `layer1.0.${name}`),
        ...["conv1", "bn1", "conv2", "bn2", "downsample.1", "downsample.2"].map((name) => `layer2.0.${name}`),
        ...["conv1", "bn1", "conv2", "bn2"].map((name) => `layer2.1.${name}`),
        "fc",
      ].map((name) => (name.endsWith("weight") ? name : `${name}.weight`)),
    );
  });

  it("takes the stride out of a split attention where it averages", () => {
    const options = { radix: 2, cardinality: 1, baseWidth: 64 };
    const blockOf = (averageDown?: "before" | "after") => {
      const block = splitAttentionBottleneck({ ...options, averageDown });
      const model = new ResNet({ ...small, channels: [8, 8], block });
      const { taps } = trace(model, { shape: [1, 3, 10, 10] });
      return taps.get("layer2.0.output")?.shape;
    };
    expect([blockOf(), blockOf("before"), blockOf("after")]).toEqual(Array(3).fill([1, 32, 5, 5]));
  });

  it("refuses stages that do not fit, and blocks that their mechanism refuses", () => {
    expect(() => new ResNet({ ...small, channels: [4] })).toThrow(OptionError);
    expect(() => new ResNet({ ...small, layers: [], channels: [] })).toThrow("one entry per stage");
    const block = selectiveKernelBasicBlock({ reduction: 4, reductionDivisor: 1, splitInput: true });
    expect(() => new ResNet({ ...small, channels: [3, 4], block })).toThrow("splitInput needs");
  });
});

describe("shortcuts", () => {
  /** Values 0, 1, 2 ... */
  const counting = (...shape: number[]): HostTensor => ({
    dtype: "float32",
    shape,
    data: Float32Array.from({ length: shape.reduce((total, size) => total * size) }, (_, index) => index),
  });

  const through = async (kind: "padding" | "averagedProjection", outChannels: number, x: HostTensor) => {
    const layer = shortcut({ inChannels: x.shape[1]!, stride: 2, shortcut: kind }, outChannels)!;
    initialize(layer);
    for (const [name, variable] of namedVariables(layer)) {
      if (name === "1.weight") (variable.value as Float32Array).fill(1);
    }
    return (await run(layer, x)).outputs.y!;
  };

  it("are left out where nothing changes", () => {
    expect(shortcut({ inChannels: 4, stride: 1 }, 4)).toBeUndefined();
    expect(shortcut({ inChannels: 4, stride: 2 }, 4)).toBeDefined();
    expect(shortcut({ inChannels: 4, stride: 1 }, 5)).toBeDefined();
  });

  it("without parameters take every second pixel and put zeros around the channels", async () => {
    const { shape, data } = await through("padding", 5, counting(1, 2, 3, 3));
    expect(shape).toEqual([1, 5, 2, 2]);
    expect([...data]).toEqual([...[0, 0, 0, 0], ...[0, 2, 6, 8], ...[9, 11, 15, 17], ...Array(8).fill(0)]);
    expect(namedVariables(shortcut({ inChannels: 2, stride: 2, shortcut: "padding" }, 4)!).size).toBe(0);
  });

  it("that average count only pixels of the image at its edge", async () => {
    const { shape, data } = await through("averagedProjection", 1, counting(1, 1, 3, 3));
    expect(shape).toEqual([1, 1, 2, 2]);
    const scale = 1 / Math.sqrt(1 + 1e-5); // initial statistics of the normalization
    const means = [(0 + 1 + 3 + 4) / 4, (2 + 5) / 2, (6 + 7) / 2, 8];
    for (const [index, mean] of means.entries()) expect(data[index]).toBeCloseTo(mean * scale, 5);
  });
});
