import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { fromTorchNames, toTorchNames } from "../../src/formats/torch-names.js";

const se = { "fc.0": "fc1", "fc.2": "fc2" };
const cbam = { "ChannelGate.mlp.1": "channel.fc1", "SpatialGate.spatial.conv": "spatial.conv.conv" };

describe("fromTorchNames", () => {
  it("turns snake_case into camelCase, part by part", () => {
    const { names, dropped } = fromTorchNames([
      "layer1.0.se.fc1.weight",
      "bn1.running_mean",
      "layer1.0.se.mlp_scale.fc1.weight",
      "conv1_1.weight",
      "cSE.weight",
    ]);
    expect([...names]).toEqual([
      ["layer1.0.se.fc1.weight", "layer1.0.se.fc1.weight"],
      ["bn1.running_mean", "bn1.runningMean"],
      ["layer1.0.se.mlp_scale.fc1.weight", "layer1.0.se.mlpScale.fc1.weight"],
      ["conv1_1.weight", "conv1_1.weight"],
      ["cSE.weight", "cSE.weight"],
    ]);
    expect(dropped).toEqual([]);
  });

  it("drops BatchNorm's counters", () => {
    const { names, dropped } = fromTorchNames([
      "bn1.running_var",
      "bn1.num_batches_tracked",
      "num_batches_tracked",
    ]);
    expect([...names.values()]).toEqual(["bn1.runningVar"]);
    expect(dropped).toEqual(["bn1.num_batches_tracked", "num_batches_tracked"]);
  });

  it("drops what wrappers put before all keys, and only then", () => {
    expect([...fromTorchNames(["module._orig_mod.fc.weight", "module._orig_mod.fc.bias"]).names]).toEqual([
      ["module._orig_mod.fc.weight", "fc.weight"],
      ["module._orig_mod.fc.bias", "fc.bias"],
    ]);
    expect(fromTorchNames(["module.weight", "fc.weight"]).names.get("module.weight")).toBe("module.weight");
    expect(fromTorchNames([]).names.size).toBe(0);
  });

  it("replaces a module's reference names where it is, the longest first", () => {
    const modules = { "layer1.0.attnSe": se, "layer1.1": cbam, "": { fc: "head", "fc.extra": "tail" } };
    const { names } = fromTorchNames(
      [
        "layer1.0.attn_se.fc.0.weight",
        "layer1.0.attn_se.fc.20.weight",
        "layer2.0.attn_se.fc.0.weight",
        "layer1.1.ChannelGate.mlp.1.bias",
        "layer1.1.SpatialGate.spatial.conv.running_mean",
        "fc.weight",
        "fc.extra.running_mean",
        "fc",
      ],
      { modules },
    );
    expect([...names.values()]).toEqual([
      "layer1.0.attnSe.fc1.weight",
      "layer1.0.attnSe.fc.20.weight",
      "layer2.0.attnSe.fc.0.weight",
      "layer1.1.channel.fc1.bias",
      "layer1.1.spatial.conv.conv.runningMean",
      "head.weight",
      "tail.runningMean",
      "head",
    ]);
  });

  it("finds a module's names where its host names it otherwise", () => {
    const modules = { "layer1.0.se": se, "layer1.0": { se_module: "se" } };
    const keys = ["layer1.0.se_module.fc.0.weight", "layer1.0.se_module.other_part.weight"];
    const ours = ["layer1.0.se.fc1.weight", "layer1.0.se.otherPart.weight"];
    expect([...fromTorchNames(keys, { modules }).names.values()]).toEqual(ours);
    expect([...toTorchNames(ours, { modules }).names.values()]).toEqual(keys);
  });

  it("refuses two keys of one name", () => {
    expect(() => fromTorchNames(["bn.running_mean", "bn.runningMean"])).toThrow(FormatError);
    expect(() => fromTorchNames(["bn.running_mean", "bn.runningMean"])).toThrow(
      '"bn.running_mean" and "bn.runningMean" are both "bn.runningMean" here',
    );
  });
});

describe("toTorchNames", () => {
  it("adds BatchNorm's counters", () => {
    const { names, counters } = toTorchNames([
      "bn1.runningMean",
      "bn1.runningVar",
      "fc.weight",
      "runningMean",
    ]);
    expect([...names.values()]).toEqual(["bn1.running_mean", "bn1.running_var", "fc.weight", "running_mean"]);
    expect(counters).toEqual(["bn1.num_batches_tracked", "num_batches_tracked"]);
  });

  it("refuses two names of one key", () => {
    expect(() => toTorchNames(["bn.running_mean", "bn.runningMean"])).toThrow("are both");
  });
});

describe("there and back", () => {
  const part = fc.stringMatching(/^[a-z][A-Za-z0-9]{0,8}$/);
  const index = fc.nat({ max: 12 }).map(String);
  const path = fc
    .array(fc.oneof(part, index), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join("."))
    // A network of which every tensor lies in `module` is taken for a wrapped one.
    .filter((name) => !name.startsWith("module"));
  const paths = fc.uniqueArray(path, { maxLength: 20 });

  it("keeps any of our names", () => {
    fc.assert(
      fc.property(paths, (names) => {
        const there = toTorchNames(names).names;
        const back = fromTorchNames(there.values()).names;
        expect(names.map((name) => back.get(there.get(name)!))).toEqual(names);
      }),
      { numRuns: 500 },
    );
  });

  it("keeps names of modules with names of their own", () => {
    const modules = { "layer1.0.attnSe": se, "layer1.1": cbam, "": { classifier: "head" } };
    const tails = [
      ...Object.values(se).map((name) => `layer1.0.attnSe.${name}`),
      ...Object.values(cbam).map((name) => `layer1.1.${name}`),
      "head",
      "layer1.1.other",
    ];
    const name = fc.tuple(fc.constantFrom(...tails), path).map(([head, tail]) => `${head}.${tail}`);
    fc.assert(
      fc.property(fc.uniqueArray(name, { maxLength: 20 }), (names) => {
        const there = toTorchNames(names, { modules }).names;
        const back = fromTorchNames(there.values(), { modules }).names;
        expect(names.map((ours) => back.get(there.get(ours)!))).toEqual(names);
      }),
      { numRuns: 500 },
    );
  });

  it("keeps keys of snake_case", () => {
    const word = fc.stringMatching(/^[a-z][a-z0-9]{0,4}(_[a-z][a-z0-9]{0,4}){0,3}$/);
    const key = fc
      .array(fc.oneof(word, index), { minLength: 1, maxLength: 5 })
      .map((parts) => parts.join("."));
    const keys = fc.uniqueArray(
      key.filter((text) => !text.startsWith("module") && !text.endsWith("num_batches_tracked")),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(keys, (theirs) => {
        const there = fromTorchNames(theirs).names;
        const back = toTorchNames(there.values()).names;
        expect(theirs.map((text) => back.get(there.get(text)!))).toEqual(theirs);
      }),
      { numRuns: 500 },
    );
  });
});
