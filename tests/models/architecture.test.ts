import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { type Model, trace } from "../../src/graph/model.js";
import { fromArchitecture } from "../../src/models/architecture.js";
import * as models from "../../src/models/registry.js";
import { emitModel } from "../../src/onnx/emit.js";
import { readGoldenCase } from "../../src/verify/golden-case.js";
import { goldenBytes } from "../verify/golden.js";

/** The network's inference as ONNX, its variables as inputs: equal for networks that compute the same from the same names. */
function encoded(model: Model, size: number): Uint8Array {
  const graph = trace(model, { shape: [1, 3, size, size] });
  const target = { kind: "portable", opset: 20 } as const;
  return emitModel({ ...graph, target, variablesAs: "inputs", producerVersion: "0" }).bytes;
}

const basic = { block: "basic", layers: [1, 1], channels: [4, 4], numClasses: 3 };

describe("fromArchitecture", () => {
  it.each([
    ["seresnet18", "seresnet18"],
    ["ecaresnet18", "ecaresnet18"],
    ["cbamresnet18", "cbamresnet18"],
    ["gcresnet18", "gcresnet18"],
    ["skresnet18", "skresnet18"],
    ["resnest14d", "resnest14d"],
    ["vit_tiny_patch16_224", "vit-tiny-patch16-32"],
  ])("builds the registry's %s from the options of the golden case %s", (name, file) => {
    const { options } = readGoldenCase(goldenBytes(`models/${file}.safetensors`), file);
    const size = name.startsWith("vit") ? 32 : 64;
    const registered = models.create(name, name.startsWith("vit") ? { imageSize: 32 } : {});
    expect(encoded(registered, size)).toEqual(encoded(fromArchitecture(options), size));
  });

  it("builds the registry's bottleneck networks from timm's options", () => {
    const stages = { layers: [3, 4, 6, 3], channels: [64, 128, 256, 512] };
    const typeD = { stemType: "deep", stemWidth: 32, avgDown: true };
    for (const [name, options] of [
      ["resnet50", { block: "bottleneck" }],
      ["seresnet50", { block: "bottleneck", attnLayer: "se" }],
      ["ecaresnet50d", { block: "bottleneck", attnLayer: "eca", ...typeD }],
      ["skresnet50", { block: "skBottleneck" }],
      ["resnest50d", { block: "resnest", avd: true, ...typeD }],
    ] as const) {
      expect(encoded(models.create(name), 64), name).toEqual(
        encoded(fromArchitecture({ ...stages, ...options }), 64),
      );
    }
  });

  it.each([
    [{ block: "dense" }, "block is"],
    [{ layers: [1] }, "layers is [1]: must have one entry per stage"],
    [{ layers: [], channels: [] }, "layers is []"],
    [{ layers: [0, 1] }, "layers[0] is 0"],
    [{ stemType: "tiered" }, "stemType is"],
    [{ attnLayer: "cecaa" }, "attnLayer is"],
    [{ cardinality: 2 }, "only resnest blocks take a cardinality other than 1"],
    [{ bnEps: 1e-3 }, "bnEps is 0.001"],
    [{ bnMomentum: 0.01 }, "bnMomentum is 0.01"],
    [{ dropRate: 0.1 }, "no option dropRate"],
  ])("refuses %j", (change, problem) => {
    expect(() => fromArchitecture({ ...basic, ...change })).toThrow(OptionError);
    expect(() => fromArchitecture({ ...basic, ...change })).toThrow(problem);
  });

  it("refuses what is no residual network and no vision transformer", () => {
    expect(() => fromArchitecture({ blocks: 3 })).toThrow("vit: no option blocks");
  });
});
