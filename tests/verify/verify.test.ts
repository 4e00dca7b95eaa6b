import { describe, expect, it } from "vitest";
import type { WritableTensor } from "../../src/formats/safetensors.js";
import { verifyGolden } from "../../src/verify/case-report.js";
import { changed, goldenBytes, nudge } from "./golden.js";

const file = "channel/se-norm-train.safetensors";

async function verdict(tensors: (tensors: Map<string, WritableTensor>) => void) {
  return verifyGolden("case", async () => changed(file, { tensors }));
}

async function verdictOnCase(change: (text: string) => string) {
  return verifyGolden("case", async () => changed(file, { case: change }));
}

const withCase = (edit: (golden: Record<string, unknown>) => void) => (text: string) => {
  const golden = JSON.parse(text) as Record<string, unknown>;
  edit(golden);
  return JSON.stringify(golden);
};

describe("verifying a golden file", () => {
  it("passes what is right, with the worst error and its tensor", async () => {
    const report = await verifyGolden("case", async () => goldenBytes(file));
    expect(report).toMatchObject({ file: "case", mechanism: "se", status: "pass" });
    expect(report.worst).toBeLessThan(1e-4);
    expect(report.where).toMatch(/^(output|map|bufferAfter|gradInput|gradParam)\.[\w.]+$/);
  });

  it.each(["output.y", "gradInput.x", "gradParam.fc1.weight", "bufferAfter.bn.runningMean", "map.attention"])(
    "finds a wrong reference %s",
    async (name) => {
      const report = await verdict((tensors) => nudge(tensors, name, 0.5));
      expect(report.status).toBe("fail");
      expect(report.worst).toBeGreaterThan(1e-3);
      expect(report.where).toMatch(new RegExp(`^${name.replaceAll(".", "\\.")}: expected .* at index 0$`));
    },
  );

  it("finds a parameter that leads elsewhere, in several tensors", async () => {
    const report = await verdict((tensors) => nudge(tensors, "param.fc2.weight", 1));
    expect(report.status).toBe("fail");
    expect(report.where).toMatch(/\(and \d+ more\)$/);
  });

  it("fails for NaN", async () => {
    const report = await verdict((tensors) => nudge(tensors, "input.x", Number.NaN));
    expect(report).toMatchObject({ status: "fail", worst: null });
    expect(report.where).toContain("found NaN at index");
  });

  it("compares gradients that vanish in exact arithmetic absolutely", async () => {
    const moved = (amount: number, zeroGrads: readonly string[]) =>
      verifyGolden("case", async () =>
        changed("spatial/ccnet-r1.safetensors", {
          tensors: (tensors) => nudge(tensors, "gradParam.keyConv.bias", amount),
          case: withCase((golden) => {
            golden.zeroGrads = zeroGrads;
          }),
        }),
      );
    expect(await moved(5e-5, ["gradParam.keyConv.bias"])).toMatchObject({ status: "pass" });
    expect(await moved(2e-4, ["gradParam.keyConv.bias"])).toMatchObject({ status: "fail" });
    const relative = await moved(5e-5, []);
    expect(relative.status).toBe("fail");
    expect(relative.where).toContain("gradParam.keyConv.bias: expected");
  });

  it("fails for a reference of another shape", async () => {
    const report = await verdict((tensors) => {
      const map = tensors.get("map.attention")!;
      tensors.set("map.attention", { ...map, shape: map.shape.filter((size) => size !== 1) });
    });
    expect(report.where).toMatch(
      /^map\.attention: expected float32 \[\d+, \d+\], found float32 \[\d+, \d+, 1, 1\]$/,
    );
  });

  it.each([
    ["param.fc1.weight", "missing: fc1.weight"],
    ["buffer.bn.runningVar", "missing: bn.runningVar"],
    ["input.x", "no tensor input.x"],
    ["output.y", "no tensor output.y"],
  ])("fails without %s", async (name, problem) => {
    const report = await verdict((tensors) => tensors.delete(name));
    expect(report).toMatchObject({ mechanism: "se", status: "fail", worst: null });
    expect(report.where).toContain(problem);
  });

  it("fails for a map or gradient that the mechanism does not make", async () => {
    const extra = { dtype: "float32", shape: [1], data: new Float32Array(1) } as const;
    const report = await verdict((tensors) => tensors.set("map.other", extra));
    expect(report.where).toContain("map.other: missing");
    const cotangent = await verdict((tensors) => tensors.set("cotangent.z", extra));
    expect(cotangent.where).toContain("cotangent for z; the outputs are y");
  });

  it.each([
    ["no mechanism", withCase((golden) => delete golden.mechanism), "mechanism"],
    ["an unknown mode", withCase((golden) => (golden.mode = "test")), "mode"],
    ["no outputs", withCase((golden) => (golden.outputs = [])), "outputs"],
    ["text as error", withCase((golden) => (golden.fp32Error = { output: "x" })), "fp32Error"],
    ["no JSON", () => "{", "no JSON"],
  ])("fails for a case with %s", async (_what, change, problem) => {
    const report = await verdictOnCase(change as (text: string) => string);
    expect(report).toMatchObject({ mechanism: null, status: "fail", worst: null });
    expect(report.where).toContain(problem);
  });

  it("fails for an unknown mechanism, refused options, and an unknown call", async () => {
    const unknown = await verdictOnCase(withCase((golden) => (golden.mechanism = "see")));
    expect(unknown).toMatchObject({ mechanism: "see", status: "fail" });
    expect(unknown.where).toContain('no mechanism "see"');
    const refused = await verdictOnCase(withCase((golden) => (golden.options = { channels: 0 })));
    expect(refused.where).toContain("channels is 0");
    const call = await verdictOnCase(
      withCase((golden) => (golden.options = { ...(golden.options as object), call: "step" })),
    );
    expect(call.where).toContain("no call step");
  });

  it("fails for bytes that are no safetensors file, and a file that cannot be read", async () => {
    const bytes = await verifyGolden("x", async () => new Uint8Array(20).fill(255));
    expect(bytes).toMatchObject({ mechanism: null, status: "fail" });
    const unreadable = await verifyGolden("x", () => Promise.reject(new Error("permission denied")));
    expect(unreadable).toMatchObject({ status: "fail", where: "permission denied" });
  });
});
