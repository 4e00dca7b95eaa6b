import { describe, expect, it } from "vitest";
import type { WritableTensor } from "../../src/formats/safetensors.js";
import { verifyGolden } from "../../src/verify/case-report.js";
import { changed, goldenBytes, nudge } from "./golden.js";

/** A network whose weights are filled, and one whose weights are stored. */
const filled = "models/timm-sk-bottleneck.safetensors";
const stored = "models/tiny-ecaresnet.safetensors";

interface Case {
  options: Record<string, unknown>;
  fill?: { algorithm: string; seed: number };
  parameterCount?: number;
  stateDict?: [key: string, shape: number[], dtype: string, norm: number | null][];
}

/** Verdict on a file after a change of its case. */
const verdict = (file: string, edit: (golden: Case) => void) =>
  verifyGolden(file, async () =>
    changed(file, {
      case: (text) => {
        const golden = JSON.parse(text) as Case;
        edit(golden);
        return JSON.stringify(golden);
      },
    }),
  );

const verdictOnTensors = (file: string, tensors: (tensors: Map<string, WritableTensor>) => void) =>
  verifyGolden(file, async () => changed(file, { tensors }));

describe("verifying a network", () => {
  it.each([filled, stored])("passes %s", async (file) => {
    const report = await verifyGolden(file, async () => goldenBytes(file));
    expect(report).toMatchObject({ mechanism: "model", status: "pass" });
    expect(report.worst).toBeGreaterThan(0);
  });

  it.each(["map.stem", "map.stage3", "gradInput.x", "output.y"])(
    "finds a wrong reference %s",
    async (name) => {
      const report = await verdictOnTensors(filled, (tensors) => nudge(tensors, name, 5));
      expect(report.status).toBe("fail");
      expect(report.where).toContain(`${name}: expected`);
    },
  );

  it("finds the features that a network does not have", async () => {
    const extra = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;
    const report = await verdictOnTensors(filled, (tensors) => tensors.set("map.stage5", extra));
    expect(report.where).toContain("map.stage5: missing");
  });

  it("finds a gradient of another norm, by the reference code's key", async () => {
    const report = await verdict(filled, ({ stateDict }) => {
      const entry = stateDict!.find(([key]) => key === "layer2.0.conv2.attn.fc_select.weight")!;
      entry[3] = entry[3]! * 1.01;
    });
    expect(report).toMatchObject({ status: "fail" });
    expect(report.where).toContain("gradNorm.layer2.0.conv2.attn.fc_select.weight: expected");
  });

  it.each<[string, (golden: Case) => void, string]>([
    ["a key less", ({ stateDict }) => stateDict!.pop(), "fc.bias: not expected"],
    [
      "another key",
      ({ stateDict }) => (stateDict![0]![0] = "conv1.9.weight"),
      "conv1.9.weight: expected parameter float32 [4, 3, 3, 3], found none; conv1.0.weight: not expected",
    ],
    [
      "another shape",
      ({ stateDict }) => (stateDict![0]![1] = [4, 3, 9, 1]),
      "conv1.0.weight: expected parameter float32 [4, 3, 9, 1], found parameter float32 [4, 3, 3, 3]",
    ],
    [
      "a parameter for a buffer",
      ({ stateDict }) => (stateDict!.find(([key]) => key.endsWith("running_mean"))![3] = 1),
      "expected parameter float32 [4], found buffer float32 [4]",
    ],
    [
      "another counter",
      ({ stateDict }) => (stateDict!.find(([key]) => key.endsWith("num_batches_tracked"))![2] = "float32"),
      "num_batches_tracked: expected buffer float32 [], found buffer int64 []",
    ],
    ["another number of parameters", (golden) => (golden.parameterCount! += 1), "trained values, found"],
    [
      "no list of its state",
      (golden) => delete golden.stateDict,
      "all of fill, stateDict and parameterCount",
    ],
    ["an unknown formula", ({ fill }) => (fill!.algorithm = "pcg"), "fill.algorithm"],
    ["another seed", ({ fill }) => (fill!.seed += 1), "expected"],
    ["refused options", ({ options }) => (options.block = "dense"), "block is"],
  ])("fails for %s", async (_what, edit, problem) => {
    const report = await verdict(filled, edit);
    expect(report.status).toBe("fail");
    expect(report.where).toContain(problem);
  });

  it("wants the stored weights of a network exactly", async () => {
    const less = await verdictOnTensors(stored, (tensors) => tensors.delete("param.layer2.0.se.conv.weight"));
    expect(less).toMatchObject({ status: "fail", worst: null });
    expect(less.where).toContain("missing: layer2.0.se.conv.weight");
    const wider = await verdict(stored, ({ options }) => (options.channels = [8, 16, 24, 40]));
    expect(wider.where).toContain("mis-shaped");
  });
});
