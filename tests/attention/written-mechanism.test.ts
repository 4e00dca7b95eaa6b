import { describe, expect, it } from "vitest";
import { mechanismClass } from "../../src/attention/catalogue.js";
import { channelOptions, exampleRequirements } from "../../src/attention/channel-options.js";
import { readMechanism } from "../../src/attention/written-mechanism.js";
import { OptionError } from "../../src/base/errors.js";

describe("readMechanism", () => {
  it.each([
    ["se", { id: "se", options: {} }],
    ["se:reduction=8", { id: "se", options: { reduction: 8 } }],
    ["se:gate=hardSigmoid,bias=false", { id: "se", options: { gate: "hardSigmoid", bias: false } }],
    ["sk:kernelSizes=[3,5],stride=2", { id: "sk", options: { kernelSizes: [3, 5], stride: 2 } }],
    [
      "fca:frequencies=[[0,0],[0,1]]",
      {
        id: "fca",
        options: {
          frequencies: [
            [0, 0],
            [0, 1],
          ],
        },
      },
    ],
    ["eca:kernelSize=null", { id: "eca", options: { kernelSize: null } }],
  ])("%s", (text, expected) => expect(readMechanism(text)).toEqual(expected));

  it.each([
    ["se:", 'found ""'],
    ["se:8", 'found "8"'],
    ["se:reduction=", 'found "reduction="'],
    ["se:reduction=1,reduction=2", "reduction is given twice"],
  ])("refuses %s", (text, message) => {
    expect(() => readMechanism(text)).toThrow(OptionError);
    expect(() => readMechanism(text)).toThrow(message);
  });
});

describe("channelOptions", () => {
  it.each([
    ["se", { channels: 32 }],
    ["sk", { inChannels: 32 }],
    ["cond-conv", { channels: 32, outChannels: 32 }],
    ["simam", {}],
  ])("%s", (id, expected) => expect(channelOptions(mechanismClass(id).about, 32)).toEqual(expected));

  it("takes what must be given besides from the first example", () => {
    expect(exampleRequirements(mechanismClass("stc").about)).toEqual({ channels: 8, frames: 3 });
    expect(exampleRequirements(mechanismClass("simam").about)).toEqual({});
  });
});
