import { describe, expect, it } from "vitest";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { readTensorFile } from "../../src/formats/tensor-file.js";
import { namedVariables } from "../../src/graph/model.js";
import { loadCheckpoint } from "../../src/models/checkpoint-load.js";
import { saveWeights } from "../../src/models/checkpoint-save.js";
import * as models from "../../src/models/registry.js";
import { scatter, valuesOf } from "./weights.js";

describe("saveWeights", () => {
  it("writes our names and the metadata given", () => {
    const model = scatter(models.create("seresnet8"), 1);
    const { metadata, tensors } = readSafetensors(saveWeights(model, { metadata: { model: "seresnet8" } }));
    expect({ ...metadata }).toEqual({ model: "seresnet8" });
    expect(new Set(tensors.keys())).toEqual(new Set(namedVariables(model).keys()));
  });

  it("writes PyTorch's names, with a counter beside each running mean", () => {
    const model = scatter(models.create("seresnet8"), 1);
    const { metadata, tensors } = readSafetensors(saveWeights(model, { names: "torch" }));
    expect({ ...metadata }).toEqual({ format: "pt" });
    expect(tensors.get("layer1.0.bn1.num_batches_tracked")).toMatchObject({ dtype: "int64", shape: [] });
    const means = [...tensors.keys()].filter((key) => key.endsWith("running_mean"));
    expect(tensors.size).toBe(namedVariables(model).size + means.length);
    expect([...tensors.keys()].filter((key) => /[A-Z]/.test(key))).toEqual([]);
  });

  it.each(["fovea", "torch"] as const)(
    "gives bytes that load back and are the same again: %s names",
    (names) => {
      const model = scatter(models.create("seresnet8"), 1);
      const bytes = saveWeights(model, { names });
      const other = scatter(models.create("seresnet8"), 2);
      expect(loadCheckpoint(other, readTensorFile(bytes).tensors).names).toBe(names);
      expect(valuesOf(other)).toEqual(valuesOf(model));
      expect(Buffer.compare(saveWeights(other, { names }), bytes)).toBe(0);
    },
  );

  it("gives variables without values their initial ones", () => {
    const model = models.create("seresnet8");
    saveWeights(model);
    expect([...namedVariables(model).values()].every(({ initialized }) => initialized)).toBe(true);
  });
});
