import { describe, expect, it } from "vitest";
import type { SelectiveKernel } from "../../src/attention/branch/sk.js";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import { OptionError } from "../../src/base/errors.js";
import { modelParts, trace } from "../../src/graph/model.js";
import { createModel, modelInfo } from "../../src/models/registry.js";

/** The module at a path of a network. */
function at(name: Parameters<typeof createModel>[0], attention: string, path: string): unknown {
  const model = createModel(name, { attention } as Parameters<typeof createModel>[1]);
  trace(model, { shape: [2, 3, 16, 16] });
  return [...modelParts(model)].find(([, found]) => found === path)?.[0];
}

describe("createModel", () => {
  it("puts a mechanism with options of its own into every block", () => {
    const se = at("seresnet8", "se:reduction=2,gate=hardSigmoid", "layer3.0.se");
    expect(se).toBeInstanceOf(SqueezeExcitation);
    expect((se as SqueezeExcitation).options).toMatchObject({
      channels: 64,
      reduction: 2,
      gate: "hardSigmoid",
    });
  });

  it("tells the channels to mechanisms under the name that they have for them", () => {
    const sk = at("seresnet8", "sk", "layer2.0.se");
    expect((sk as SelectiveKernel).options).toMatchObject({ inChannels: 32 });
    expect(at("seresnet8", "simam", "layer2.0.se")).toBeDefined();
    expect(at("seresnet8", "none", "layer2.0.se")).toBeUndefined();
  });

  it("refuses what is unknown or not enough", () => {
    expect(() => at("seresnet8", "sse", "")).toThrow('no mechanism "sse"; did you mean');
    expect(() => at("seresnet8", "se:reduction=0", "")).toThrow("reduction is 0; it must be number > 0");
    expect(() => at("seresnet8", "stc", "")).toThrow("frames is missing");
    expect(() => modelInfo("resnet9000")).toThrow(OptionError);
  });
});
