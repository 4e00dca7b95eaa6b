import { describe, expect, it } from "vitest";
import { TransformerEncoderLayer } from "../../src/attention/transformer/transformer-encoder-layer.js";
import { VisionTransformer } from "../../src/attention/transformer/vit.js";
import { OptionError } from "../../src/base/errors.js";
import { createExplainer, explain } from "../../src/explain/explain.js";
import type { ExplainedMap, ExplainOptions } from "../../src/explain/types.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { create } from "../../src/models/registry.js";
import { Module } from "../../src/nn/module.js";
import { mean } from "../../src/ops/reduce.js";
import { reshape, transpose } from "../../src/ops/shape.js";
import { run } from "../../src/runtime/run.js";
import { imageOf, LinearClassifier } from "./networks.js";

const image = imageOf([3, 32, 32], (at) => Math.sin(at));

function heatOf(map: ExplainedMap, view = 0): Float32Array {
  const found = map.views[view]!;
  if (found.form !== "heat") throw new Error(`view ${view} is ${found.form}`);
  return found.heat.data;
}

function vit() {
  return new VisionTransformer({
    imageSize: [8, 12],
    patchSize: 4,
    numClasses: 5,
    embedDim: 8,
    depth: 2,
    heads: 2,
    mlpRatio: 2,
    regTokens: 1,
  });
}
const patches = imageOf([3, 8, 12], (at) => Math.cos(at * at));

describe("explain by attention", () => {
  it("shows the gates and planes that the mechanisms of a network declare", async () => {
    const model = create("resnet20", { numClasses: 4, attention: "cbam" });
    const found = await explain(model, image);
    expect(found.maps).toHaveLength(2 * 9);
    expect(found.maps.slice(0, 2)).toMatchObject([
      { mechanism: "cbam", name: "channel", kind: "channel-gate", axes: ["gate", "other", "other"] },
      { mechanism: "cbam", name: "spatial", kind: "spatial", axes: ["head", "row", "column"] },
    ]);
    const x = { ...image, shape: [1, ...image.shape] };
    const { outputs, taps } = await run(model, x, { taps: found.maps.map(({ tap }) => tap) });
    expect(found.logits).toEqual(outputs.y!.data);
    for (const map of found.maps) expect(map.values.data).toEqual(taps[map.tap]!.data);
    const sizes = found.maps.filter(({ kind }) => kind === "spatial").map(({ values }) => values.shape);
    expect(sizes).toEqual([32, 32, 32, 16, 16, 16, 8, 8, 8].map((side) => [1, side, side]));
    expect(found.prediction).toBe(found.logits.indexOf(Math.max(...found.logits)));
  });

  it("shows the taps that fit a pattern, others than maps too", async () => {
    const model = create("seresnet20", { numClasses: 4 });
    const found = await explain(model, image, { taps: ["layer3.*.attention", "layer1.0.output"] });
    expect(found.maps.map(({ tap, kind }) => [tap.split(".")[0], kind])).toEqual([
      ["layer3", "channel-gate"],
      ["layer3", "channel-gate"],
      ["layer3", "channel-gate"],
      ["layer1", "spatial"],
    ]);
    await expect(explain(model, image, { taps: ["layer9.*"] })).rejects.toThrow(/no tap fits "layer9\.\*"/);
  });

  it("shows what the class token attends to, head by head, on the grid of patches", async () => {
    const model = vit();
    const found = await explain(model, patches, { taps: ["blocks.1.attention"] });
    const [map] = found.maps as [ExplainedMap];
    expect(map.values.shape).toEqual([2, 8, 8]);
    expect(map.layout.keys).toMatchObject({ form: "grid", rows: 2, columns: 3, prefix: 2, classToken: true });
    const row = (head: number) => map.values.data.slice(head * 64 + 2, head * 64 + 8);
    expect(heatOf(map, 1)).toEqual(row(0));
    expect(heatOf(map, 2)).toEqual(row(1));
    const expected = row(0).map((value, at) => (value + row(1)[at]!) / 2);
    for (const [at, value] of heatOf(map).entries()) expect(value).toBeCloseTo(expected[at]!, 6);
    expect(map.views.map(({ label }) => label)).toEqual(["class token, mean of 2 heads", "head 1", "head 2"]);
  });

  it("shows what the token at a place attends to", async () => {
    const model = create("resnet20", { numClasses: 3, attention: "danet-position" });
    const found = await explain(model, image, { taps: ["layer3.2.*"], query: [0, 1] });
    const [map] = found.maps as [ExplainedMap];
    expect(map.values.shape).toEqual([64, 64]);
    expect(map.views.map(({ label }) => label)).toEqual(["all queries", "query at row 1, column 8"]);
    expect(heatOf(map, 1)).toEqual(map.values.data.slice(7 * 64, 8 * 64));
    const mean = Array.from({ length: 64 }, (_, key) =>
      Array.from({ length: 64 }, (_, query) => map.values.data[query * 64 + key]! / 64).reduce(
        (a, b) => a + b,
      ),
    );
    for (const [at, value] of heatOf(map).entries()) expect(value).toBeCloseTo(mean[at]!, 6);
    await expect(explain(model, image, { query: [0, 2] })).rejects.toThrow(/a place \[y, x\] from 0 to 1/);
  });
});

/** Patches as tokens whose grid no mechanism knows. */
class TokenClassifier extends Module {
  readonly layers = [0, 1].map(
    () => new TransformerEncoderLayer({ embedDim: 4, heads: 2, feedForwardDim: 8 }),
  );

  /** @param x [N, 4, 2, 3]  @returns [N, 4] */
  forward(x: Tensor): Tensor {
    const tokens = transpose(reshape(x, { shape: [-1, 4, 6] }), { perm: [0, 2, 1] });
    const encoded = this.layers.reduce((value, layer) => layer.forward({ x: value }), tokens);
    return mean(encoded, { axes: [1], keepDims: false });
  }
}

describe("explain by rollout", () => {
  it("is the rollout that the transformer taps", async () => {
    const model = vit();
    const found = await explain(model, patches, { method: "rollout" });
    const x = { ...patches, shape: [1, ...patches.shape] };
    const { taps } = await run(model, x, { taps: ["rolloutClass", "rollout"] });
    expect(found.maps).toHaveLength(1);
    expect(found.maps[0]!.values).toEqual({ ...taps.rollout, shape: [8, 8] });
    expect(heatOf(found.maps[0]!)).toEqual(taps.rolloutClass!.data);
  });

  it("follows encoder layers on a grid that is told", async () => {
    const model = new TokenClassifier();
    const tokens = imageOf([4, 2, 3], (at) => Math.sin(3 * at));
    await expect(explain(model, tokens, { method: "rollout" })).rejects.toThrow(
      /rollout needs layers of token attention .* methods that fit this network: attention, occlusion, integrated-gradients/,
    );
    const grid = { rows: 2, columns: 3 };
    const found = await explain(model, tokens, { method: "rollout", grid });
    expect(found.maps[0]!.views[0]).toMatchObject({ heat: { shape: [2, 3] }, overImage: true });
    expect(heatOf(found.maps[0]!).reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
  });
});

describe("explain by class", () => {
  it("looks at the last features of convolutional networks and of transformers", async () => {
    const resnet = await explain(create("seresnet20", { numClasses: 4 }), image, { method: "grad-cam" });
    expect(resnet.maps).toMatchObject([{ tap: "layer3.2.output", values: { shape: [8, 8] } }]);
    const transformer = vit();
    const found = await explain(transformer, patches, { method: "grad-cam++" });
    expect(found.maps).toMatchObject([{ tap: transformer.lastFeatures, values: { shape: [2, 3] } }]);
    expect(Math.max(...found.maps[0]!.values.data)).toBeGreaterThan(0);
  });

  it.each([
    ["seresnet18", "layer3.1.output"],
    ["mobilenet_v3_small", "features.8.output"],
  ])("looks at the last features of %s that have more than one place", async (name, tap) => {
    const { maps } = await explain(create(name, { numClasses: 3 }), image, { method: "grad-cam" });
    expect(maps).toMatchObject([{ tap, values: { shape: [2, 2] } }]);
  });

  it("makes a map of each tap that is asked for", async () => {
    const model = create("seresnet20", { numClasses: 4 });
    const options = { method: "grad-cam", taps: ["layer*.2.output"], classes: [1, 3] } as const;
    const { maps } = await explain(model, image, options);
    expect(maps.map((map) => [map.tap, map.class, map.values.shape[0]])).toEqual([
      ["layer1.2.output", 1, 32],
      ["layer2.2.output", 1, 16],
      ["layer3.2.output", 1, 8],
      ["layer1.2.output", 3, 32],
      ["layer2.2.output", 3, 16],
      ["layer3.2.output", 3, 8],
    ]);
    await expect(explain(model, image, { method: "grad-cam", taps: ["fc"] })).rejects.toThrow(
      /no feature map is tapped as "fc"; the model has stem, /,
    );
  });

  it.each([
    { method: "grad-cam" },
    { method: "occlusion", window: [32, 32] },
    { method: "integrated-gradients" },
  ] as const)("$method refuses classes that there are not", async (options) => {
    const model = create("seresnet8", { numClasses: 4 });
    const ask = (classes: number[]) => explain(model, image, { ...options, classes });
    await expect(ask([4])).rejects.toThrow(/class 4; the network has classes 0 to 3/);
    await expect(ask([])).rejects.toThrow(/classes is empty/);
  });
});

describe("createExplainer", () => {
  it("explains several images with one session and refuses others", async () => {
    const model = new LinearClassifier([
      [1, 2, 3, 4],
      [0, 0, 0, 0],
    ]);
    const explainer = await createExplainer(model, [1, 2, 2], { method: "integrated-gradients" });
    for (const value of [1, 2]) {
      const { maps } = await explainer.explain(imageOf([1, 2, 2], () => value));
      for (const [at, found] of maps[0]!.values.data.entries())
        expect(found).toBeCloseTo(value * (at + 1), 4);
    }
    await expect(explainer.explain(image)).rejects.toThrow(
      /image must be float32 \[1, 2, 2\], found float32 \[3, 32, 32\]/,
    );
    await explainer.close();
    await explainer.close();
  });

  it.each([
    [
      { classes: [1] },
      "attention takes no classes, unlike grad-cam, grad-cam++, occlusion, integrated-gradients",
    ],
    [{ method: "grad-cam", steps: 3 }, "grad-cam takes no steps, unlike integrated-gradients"],
    [{ method: "grad-cam++", query: [0, 0] }, "grad-cam++ takes no query, unlike attention, rollout"],
    [{ method: "rollout", window: [1, 1] }, "rollout takes no window, unlike occlusion"],
    [
      { method: "occlusion", taps: ["a"] },
      "occlusion takes no taps, unlike attention, grad-cam, grad-cam++, rollout",
    ],
    [
      { method: "integrated-gradients", stride: [1, 1] },
      "integrated-gradients takes no stride, unlike occlusion",
    ],
  ] as [ExplainOptions, string][])(
    "refuses options that a method does not read: %j",
    async (options, problem) => {
      const asked = createExplainer(create("seresnet8"), [3, 32, 32], options);
      await expect(asked).rejects.toThrow(OptionError);
      await expect(asked).rejects.toThrow(problem);
    },
  );

  it("says which methods fit", async () => {
    const model = new LinearClassifier([
      [1, 2, 3, 4],
      [0, 0, 0, 0],
    ]);
    const ask = (method: string) => createExplainer(model, [1, 2, 2], { method: method as "attention" });
    const fitting = "methods that fit this network: occlusion, integrated-gradients";
    await expect(ask("attention")).rejects.toThrow(`a mechanism that declares an attention map; ${fitting}`);
    await expect(ask("grad-cam")).rejects.toThrow(`or of tokens whose grid is known; ${fitting}`);
    await expect(ask("lime")).rejects.toThrow(/no method "lime"; known are attention, grad-cam,/);
    await expect(createExplainer(model, [2, 2])).rejects.toThrow(/must be \[C, H, W\], found \[2, 2\]/);
  });
});
