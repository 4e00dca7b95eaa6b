import { describe, expect, it } from "vitest";
import { create, mechanismClasses } from "../../src/attention/catalogue.js";
import { readTensorFile } from "../../src/formats/tensor-file.js";
import { fromTorchNames } from "../../src/formats/torch-names.js";
import { loadCheckpoint } from "../../src/models/checkpoint-load.js";
import { saveWeights } from "../../src/models/checkpoint-save.js";
import { build } from "../attention/trial.js";
import { scatter, shapesOf, valuesOf } from "./weights.js";

const declared = mechanismClasses().flatMap((type) =>
  Object.keys(type.about.checkpoints ?? {}).flatMap((reference) =>
    type.about.examples.map(
      (example, index) => [type.about.id, reference, index, type, example.options] as const,
    ),
  ),
);

describe("every layout that a mechanism declares", () => {
  it("is tested", () => {
    expect(declared.length).toBeGreaterThan(40);
  });

  it.each(declared)("%s as in %s, example %i, is read back", (_id, reference, _index, type, options) => {
    const module = scatter(build(type, options), 1);
    const bytes = saveWeights(module, { names: "torch", references: [reference] });
    const { tensors } = readTensorFile(bytes);
    const other = scatter(build(type, options), 2);
    const report = loadCheckpoint(other, tensors, { names: "torch" });
    expect(valuesOf(other)).toEqual(valuesOf(module));
    expect(report).toMatchObject({ names: "torch", missing: [], unused: [], mismatched: [], kept: [] });
    // Where every key is one of our names in snake_case nothing tells the layout from ours.
    const names = [...fromTorchNames(tensors.keys()).names.values()];
    const ours = new Set(Object.keys(valuesOf(module)));
    expect(report.references.has(type.about.id)).toBe(!names.every((name) => ours.has(name)));
  });
});

/** Keys and shapes of a mechanism in a reference's layout. */
function keysOf<Id extends Parameters<typeof create>[0]>(
  id: Id,
  options: Parameters<typeof create<Id>>[1],
  reference: string,
) {
  const module = scatter(create(id, options), 1) as never;
  return shapesOf(readTensorFile(saveWeights(module, { names: "torch", references: [reference] })).tensors);
}

describe("shapes and keys are the reference's", () => {
  it("linear layers of the authors' CBAM", () => {
    expect(keysOf("cbam", { channels: 32, mlpBias: true }, "Jongchan/attention-module")).toEqual({
      "ChannelGate.mlp.1.weight": [2, 32],
      "ChannelGate.mlp.1.bias": [2],
      "ChannelGate.mlp.3.weight": [32, 2],
      "ChannelGate.mlp.3.bias": [32],
      "SpatialGate.spatial.conv.weight": [1, 2, 7, 7],
      "SpatialGate.spatial.bn.weight": [1],
      "SpatialGate.spatial.bn.bias": [1],
      "SpatialGate.spatial.bn.running_mean": [1],
      "SpatialGate.spatial.bn.running_var": [1],
      "SpatialGate.spatial.bn.num_batches_tracked": [],
    });
  });

  it("norms of GCNet with two axes more", () => {
    expect(keysOf("gc", { channels: 16 }, "xvjiarui/GCNet")).toMatchObject({
      "conv_mask.weight": [1, 16, 1, 1],
      "channel_mul_conv.1.weight": [2, 1, 1],
      "channel_mul_conv.1.bias": [2, 1, 1],
    });
  });

  it("a scale without axes, a transposed matrix, tied layers", () => {
    expect(keysOf("ccnet", { channels: 8 }, "open-mmlab/mmcv")["gamma.scale"]).toEqual([]);
    expect(
      keysOf("qkv-attention", { score: "general", queryDim: 4, keyDim: 3 }, "OpenNMT/OpenNMT-py"),
    ).toEqual({ "linear_in.weight": [3, 4] });
    const apnb = keysOf(
      "apnb",
      { channels: 6, keyChannels: 4, valueChannels: 3, poolSizes: [1, 2] },
      "MendelXu/ANN",
    );
    expect(apnb).toMatchObject({
      "stages.0.f_key.0.weight": [4, 6, 1, 1],
      "stages.0.f_query.0.weight": [4, 6, 1, 1],
      "stages.0.f_query.1.0.running_mean": [4],
      "stages.0.f_query.1.0.num_batches_tracked": [],
    });
  });

  it("projections of torch.nn.MultiheadAttention, packed where their widths are equal", () => {
    expect(keysOf("mha", { embedDim: 6, heads: 2 }, "pytorch/pytorch")).toEqual({
      in_proj_weight: [18, 6],
      in_proj_bias: [18],
      "out_proj.weight": [6, 6],
      "out_proj.bias": [6],
    });
    expect(keysOf("mha", { embedDim: 6, heads: 2, keyDim: 4, bias: false }, "pytorch/pytorch")).toEqual({
      q_proj_weight: [6, 6],
      k_proj_weight: [6, 4],
      v_proj_weight: [6, 6],
      "out_proj.weight": [6, 6],
    });
  });
});

it("takes tied layers only where they are equal", () => {
  const options = { channels: 6, keyChannels: 4, valueChannels: 3, poolSizes: [1, 2] };
  const bytes = saveWeights(scatter(create("apnb", options), 1), {
    names: "torch",
    references: ["MendelXu/ANN"],
  });
  const tensors = new Map(readTensorFile(bytes).tensors);
  tensors.set("stages.0.f_query.0.bias", tensors.get("stages.0.f_query.1.0.bias")!);
  const model = scatter(create("apnb", options), 2);
  const before = valuesOf(model);
  expect(() => loadCheckpoint(model, tensors)).toThrow(
    '"stages.0.f_query.0.bias" and "stages.0.f_key.0.bias" differ; they are one tensor here (keyConv.bias)',
  );
  expect(valuesOf(model)).toEqual(before);
});
