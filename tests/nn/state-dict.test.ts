import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { FormatError } from "../../src/base/errors.js";
import { initialize } from "../../src/graph/model.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Linear } from "../../src/nn/linear.js";
import { Sequential } from "../../src/nn/sequential.js";
import { loadStateDict, stateDict } from "../../src/nn/state-dict.js";
import { floats, vector } from "../ops/evaluate.js";

const build = () =>
  new Sequential(new Linear({ inFeatures: 3, outFeatures: 2 }), new BatchNorm({ channels: 2 }));

describe("a state dict", () => {
  it("goes from one model to another, parameters and buffers", () => {
    const [source, target] = [build(), build()];
    initialize(source, { seed: 4 });
    const values = stateDict(source);
    expect([...values.keys()]).toEqual([
      "0.weight",
      "0.bias",
      "1.weight",
      "1.bias",
      "1.runningMean",
      "1.runningVar",
    ]);
    expect(values.get("0.weight")!.shape).toEqual([2, 3]);
    expect(loadStateDict(target, values)).toEqual({ missing: [], unused: [], mismatched: [] });
    expect(stateDict(target)).toEqual(values);
    // Copies both ways.
    values.get("1.bias")!.data.fill(9 as never);
    expect(stateDict(target).get("1.bias")!.data).toEqual(Float32Array.of(0, 0));
    expect(stateDict(source).get("1.bias")!.data).toEqual(Float32Array.of(0, 0));
  });

  it("gives a model without values its initial ones", () => {
    const [a, b] = [build(), build()];
    initialize(b, { seed: 0 });
    expect(stateDict(a)).toEqual(stateDict(b));
  });
});

describe("strict loading", () => {
  it("names missing, unused and mis-shaped keys, and changes nothing", () => {
    const model = build();
    const before = stateDict(model);
    const values = new Map<string, HostTensor>(
      [...before].map(([key, { dtype, shape, data }]) => [
        key,
        { dtype, shape, data: Float32Array.from(data as Float32Array, (value) => value + 1) },
      ]),
    );
    values.delete("0.bias");
    values.set("2.weight", vector(1));
    values.set("1.weight", vector(1, 2, 3));
    values.set("1.bias", { dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 2n) });
    values.set("1.runningMean", { ...vector(1, 2), data: Float32Array.of(1) });
    const report = {
      missing: ["0.bias"],
      unused: ["2.weight"],
      mismatched: [
        "1.weight: expected float32 [2], found float32 [3] of 3 values",
        "1.bias: expected float32 [2], found int64 [2] of 2 values",
        "1.runningMean: expected float32 [2], found float32 [2] of 1 values",
      ],
    };
    expect(() => loadStateDict(model, values)).toThrow(
      new FormatError(
        `state dict does not fit the model; missing: 0.bias; unused: 2.weight; mis-shaped: ${report.mismatched.join("; ")}`,
      ),
    );
    expect(stateDict(model)).toEqual(before);
    expect(loadStateDict(model, values, { strict: false })).toEqual(report);
    const after = stateDict(model);
    expect(after.get("0.weight")).toEqual(values.get("0.weight"));
    for (const key of ["0.bias", "1.weight", "1.bias", "1.runningMean"]) {
      expect(after.get(key)).toEqual(before.get(key));
    }
  });

  it("names what is wrong alone", () => {
    const values = stateDict(build());
    values.set("extra", floats([1, 1], [0]));
    expect(() => loadStateDict(build(), values)).toThrow(
      /^state dict does not fit the model; unused: extra$/,
    );
  });
});
