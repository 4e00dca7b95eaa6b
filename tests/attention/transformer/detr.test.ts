import { describe, expect, it } from "vitest";
import { parseOptions } from "../../../src/attention/mechanism.js";
import { Detr } from "../../../src/attention/transformer/detr.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { DataError, ShapeError } from "../../../src/base/errors.js";
import { readTensorFile } from "../../../src/formats/tensor-file.js";
import { initialize, namedVariables, trace } from "../../../src/graph/model.js";
import { saveWeights } from "../../../src/models/checkpoint-save.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, setValues } from "../images.js";
import { bools, permuteRows } from "./tokens.js";

type Options = ConstructorParameters<typeof Detr>[0];

const small: Options = {
  backboneChannels: 3,
  embedDim: 8,
  heads: 2,
  encoderLayers: 2,
  decoderLayers: 2,
  feedForwardDim: 12,
  numClasses: 3,
  numQueries: 4,
};
const features = image([2, 3, 3, 4]);
/** The second image has two columns of padding. */
const mask = bools([2, 3, 4], (index) => index >= 12 && index % 4 >= 2);
const outputNames = ["predLogits", "predBoxes", "auxLogits", "auxBoxes"] as const;

async function predict(
  module: Detr,
  inputs: Record<string, HostTensor>,
): Promise<Record<(typeof outputNames)[number], HostTensor>> {
  return (await run(module, inputs)).outputs as Record<(typeof outputNames)[number], HostTensor>;
}

describe("DETR", () => {
  it("has the parameters of the published model", () => {
    const published = parseOptions(Detr.about, { backboneChannels: 2048, numClasses: 91 });
    // detr-r50 trains 41,302,368 values, of which 23,232,512 are its backbone's.
    expect(Detr.about.parameters(published)).toBe(41_302_368 - 23_232_512);
  });

  it("permutes its predictions as its queries are permuted", async () => {
    const module = randomize(new Detr(small));
    const queries = namedVariables(module).get("queryEmbed.weight")!;
    setValues(
      module,
      "queryEmbed.weight",
      numbers(image([4, 8], "queries")).map((value) => 4 * value),
    );
    const before = await predict(module, { features, mask });
    const order = [2, 0, 3, 1];
    const { data } = permuteRows({ dtype: "float32", shape: queries.shape, data: queries.value }, 0, order);
    queries.value = data;
    const after = await predict(module, { features, mask });
    for (const name of outputNames) {
      const axis = name.startsWith("aux") ? 2 : 1;
      expect(distance(numbers(after[name]), numbers(permuteRows(before[name], axis, order)))).toBeLessThan(
        1e-4,
      );
    }
    expect(distance(numbers(after.predLogits), numbers(before.predLogits))).toBeGreaterThan(1e-2);
  });

  it("gives all queries the same where they have no positions", async () => {
    const module = randomize(new Detr(small));
    setValues(module, "queryEmbed.weight", 0);
    const { predLogits } = await predict(module, { features, mask });
    const same = permuteRows(predLogits, 1, [1, 2, 3, 0]);
    expect(distance(numbers(predLogits), numbers(same))).toBeLessThan(1e-4);
  });

  it.each(["sine2d", "learned2d"] as const)("does not see what lies under the mask (%s)", async (kind) => {
    for (const normFirst of [false, true]) {
      const module = randomize(new Detr({ ...small, positionEncoding: kind, normFirst }));
      const before = await predict(module, { features, mask });
      const hidden = numbers(mask);
      const changed = mapValues(features, (value, index) => {
        const place = Math.floor(index / 36) * 12 + (index % 12);
        return hidden[place] ? value + 5 : value;
      });
      const after = await predict(module, { features: changed, mask });
      const shown = await predict(module, { features: changed });
      for (const name of outputNames) {
        expect(distance(numbers(after[name]), numbers(before[name]))).toBeLessThan(1e-5);
      }
      expect(distance(numbers(shown.predLogits), numbers(before.predLogits))).toBeGreaterThan(1e-3);
    }
  });

  it("takes no mask for no padding", async () => {
    const module = randomize(new Detr(small));
    const [none, open] = [
      await predict(module, { features }),
      await predict(module, { features, mask: bools([2, 3, 4], () => false) }),
    ];
    for (const name of outputNames) {
      expect(distance(numbers(none[name]), numbers(open[name]))).toBeLessThan(1e-5);
    }
  });

  it("predicts after each layer what a model with fewer layers predicts", async () => {
    const module = randomize(new Detr(small));
    const shorter = randomize(new Detr({ ...small, decoderLayers: 1 }));
    const { auxLogits, auxBoxes } = await predict(module, { features });
    const { outputs } = await run(shorter, { features });
    expect(Object.keys(outputs)).toEqual(["predLogits", "predBoxes"]);
    expect(distance(numbers(auxLogits), numbers(outputs.predLogits!))).toBeLessThan(1e-5);
    expect(distance(numbers(auxBoxes), numbers(outputs.predBoxes!))).toBeLessThan(1e-5);
    for (const value of numbers(auxBoxes)) expect(value > 0 && value < 1).toBe(true);
  });

  it("starts with Xavier's values in the transformer's matrices", () => {
    const module = new Detr({ ...small, embedDim: 64, feedForwardDim: 192 });
    initialize(module);
    const spread = (path: string, bound: number) => {
      const values = Array.from(namedVariables(module).get(path)!.value, Number);
      const largest = Math.max(...values.map(Math.abs));
      expect(largest, path).toBeLessThanOrEqual(bound);
      expect(largest, path).toBeGreaterThan(0.97 * bound);
    };
    for (const layer of ["encoder.layers.0", "decoder.layers.1"]) {
      const path = `transformer.${layer}`;
      spread(`${path}.selfAttn.queryProj.weight`, Math.sqrt(6 / 256));
      spread(`${path}.selfAttn.outProj.weight`, Math.sqrt(6 / 128));
      spread(`${path}.linear1.weight`, Math.sqrt(6 / 256));
      spread(`${path}.linear2.weight`, Math.sqrt(6 / 256));
      spread(`${path}.linear1.bias`, 1 / Math.sqrt(64));
    }
    spread("transformer.decoder.layers.0.multiheadAttn.outProj.weight", Math.sqrt(6 / 128));
    spread("classEmbed.weight", 1 / Math.sqrt(64));
    expect(
      Math.max(...Array.from(namedVariables(module).get("queryEmbed.weight")!.value, Number)),
    ).toBeGreaterThan(2);
  });

  it("is saved under the keys of the published state dict", () => {
    const module = randomize(new Detr({ ...small, normFirst: true, positionEncoding: "learned2d" }));
    const { tensors } = readTensorFile(
      saveWeights(module, { names: "torch", references: ["facebookresearch/detr"] }),
    );
    const shapes = Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
    expect(shapes).toMatchObject({
      "input_proj.weight": [8, 3, 1, 1],
      "query_embed.weight": [4, 8],
      "transformer.encoder.layers.1.self_attn.in_proj_weight": [24, 8],
      "transformer.encoder.layers.1.self_attn.out_proj.bias": [8],
      "transformer.encoder.norm.weight": [8],
      "transformer.decoder.layers.0.multihead_attn.in_proj_bias": [24],
      "transformer.decoder.layers.1.linear1.weight": [12, 8],
      "transformer.decoder.layers.1.norm3.bias": [8],
      "transformer.decoder.norm.bias": [8],
      "class_embed.weight": [4, 8],
      "bbox_embed.layers.2.weight": [4, 8],
      "backbone.1.row_embed.weight": [50, 4],
      "backbone.1.col_embed.weight": [50, 4],
    });
    expect(Object.keys(shapes).filter((name) => /[A-Z]|query_proj/.test(name))).toEqual([]);
  });

  it("refuses masks of another size, images that are all padding, and images beyond its tables", () => {
    const module = new Detr(small);
    const types = { features: { shape: [2, 3, 3, 4] } };
    const withMask = (shape: number[]) => trace(module, { ...types, mask: { shape, dtype: "bool" } });
    expect(() => withMask([2, 4, 3])).toThrow(ShapeError);
    expect(() => withMask([2, 4, 3])).toThrow(
      "input mask must be bool [batch, height, width], found bool [2, 4, 3]",
    );
    const hidden = bools([2, 3, 4], (index) => index >= 12);
    expect(() => module.checkValues("forward", { features, mask: hidden })).toThrow(DataError);
    expect(() => module.checkValues("forward", { features, mask: hidden })).toThrow("hides all of image 1");
    expect(() => module.checkValues("forward", { features, mask })).not.toThrow();
    const learned = new Detr({ ...small, positionEncoding: "learned2d", maxSize: 3 });
    expect(() => trace(learned, types)).toThrow("at most 3 positions");
  });
});
