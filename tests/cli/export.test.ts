import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { exportOpsets } from "../../src/onnx/export.js";
import { fovea, trainSmall } from "./fovea.js";

let folder: string;
let run: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fovea-"));
  run = join(folder, "run");
  await trainSmall(run, "--attention", "cbam");
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = (name: string) => join(folder, name);
const decoded = (path: string) => decodeModel(readFileSync(path));

interface Exported {
  opset: number;
  nodes: number;
  difference: { output: string; relative: number };
}

describe("fovea export", () => {
  test("writes a run's network with what is needed to use it", async () => {
    const to = file("run.onnx");
    const { code, out } = await fovea("export", run, "--to", to);
    expect(code).toBe(0);
    expect(out).toContain("images    are 28 x 28, which is fixed");
    const { inputs, outputs, metadata, opsets } = decoded(to);
    expect(inputs).toEqual([{ name: "images", dtype: "float32", shape: ["batch", 1, 28, 28] }]);
    expect(outputs).toEqual([{ name: "logits", dtype: "float32", shape: ["batch", 10] }]);
    expect([...opsets]).toEqual([["", 20]]);
    const json = (name: string) => JSON.parse(metadata.get(name)!) as unknown;
    expect(json("classes")).toEqual([..."0123456789"]);
    expect(json("preprocessing")).toMatchObject({
      imageShape: [1, 28, 28],
      normalization: { mean: [expect.any(Number)], std: [expect.any(Number)] },
      cropRatio: 1,
    });
    expect(json("options")).toMatchObject({ attention: "cbam", numClasses: 10, inChannels: 1 });
    expect(json("attentionMaps")).toContainEqual(
      expect.objectContaining({
        mechanism: "cbam",
        kind: "spatial",
        tap: expect.stringMatching(/^layer1\.0\./),
      }),
    );
    expect(metadata.get("model")).toBe("seresnet8");
    expect(metadata.get("producer")).toMatch(/^fovea \d/);
  });

  test.each(exportOpsets)("merges BatchNorm and names taps, in operator set %i", async (opset) => {
    const to = file(`taps-${opset}.onnx`);
    const { code, json } = await fovea(
      ...["export", run, "--to", to, "--opset", String(opset), "--batch", "3"],
      ...["--taps", "layer1.*.se.*", "--taps", "stem", "--json"],
    );
    expect(code).toBe(0);
    expect(json<Exported>().difference.relative).toBeLessThan(1e-5);
    const { nodes, inputs, outputs, opsets } = decoded(to);
    expect(opsets.get("")).toBe(opset);
    expect(inputs[0]!.shape).toEqual([3, 1, 28, 28]);
    expect(outputs.map(({ name }) => name)).toEqual(expect.arrayContaining(["logits", "stem"]));
    expect(outputs.some(({ name }) => name.startsWith("layer1.0.se."))).toBe(true);
    expect(outputs.some(({ name }) => name.startsWith("layer2."))).toBe(false);
    expect(nodes.map(({ opType }) => opType)).not.toContain("BatchNormalization");
  });

  test("keeps BatchNorm where it is told to", async () => {
    const to = file("plain.onnx");
    expect((await fovea("export", run, "--to", to, "--no-fold")).code).toBe(0);
    expect(decoded(to).nodes.map(({ opType }) => opType)).toContain("BatchNormalization");
  });

  test("writes a training step and its first state", async () => {
    const to = file("step.onnx");
    const { code, json } = await fovea(
      ...["export", "seresnet8", "--size", "16", "--num-classes", "4", "--training-step", "--batch", "6"],
      ...["--optimizer", "adamw", "--to", to, "--json"],
    );
    expect(code).toBe(0);
    const { inputs, outputs } = json<{
      inputs: { name: string; role: string }[];
      outputs: { feeds?: string }[];
    }>();
    const { tensors } = readSafetensors(readFileSync(`${to}.state.safetensors`));
    const states = inputs.filter(({ role }) => role === "state").map(({ name }) => name);
    expect([...tensors.keys()].sort()).toEqual(states.sort());
    expect(states).toContain("optimizer.secondMoment.conv1.weight");
    expect(outputs.flatMap(({ feeds }) => feeds ?? []).sort()).toEqual(states);
    expect(decoded(to).inputs.map(({ name }) => name)).toEqual(inputs.map(({ name }) => name));
  });

  test("writes weights alone, under PyTorch's names too", async () => {
    const [ours, theirs] = [file("ours.safetensors"), file("theirs.safetensors")];
    expect((await fovea("export", run, "--to", ours)).code).toBe(0);
    expect((await fovea("export", run, "--to", theirs, "--names", "torch")).code).toBe(0);
    const keys = (path: string) => [...readSafetensors(readFileSync(path)).tensors.keys()];
    expect(keys(ours)).toContain("layer1.0.bn1.runningMean");
    expect(keys(theirs)).toEqual(
      expect.arrayContaining(["layer1.0.bn1.running_mean", "layer1.0.bn1.num_batches_tracked"]),
    );
    const again = await fovea(
      "export",
      "seresnet8",
      "--attention",
      "cbam",
      "--num-classes",
      "10",
      "--in-channels",
      "1",
      "--size",
      "28",
      "--weights",
      theirs,
      "--to",
      ours,
    );
    expect(again.code, again.log).toBe(0);
  });

  test("weights say of themselves what they are", async () => {
    const weights = file("own.safetensors");
    expect((await fovea("export", run, "--to", weights)).code).toBe(0);
    const evaluated = async (...args: string[]) => {
      const { code, json, log } = await fovea("evaluate", ...args, "--json");
      expect(code, log).toBe(0);
      return json<{ loss: number; images: number; classes: { name: string }[] }>();
    };
    const whole = await evaluated(weights, "--data", "mnist");
    expect(whole.classes.map(({ name }) => name)).toEqual([..."0123456789"]);
    const named = await evaluated("seresnet8", "--weights", weights, "--data", "mnist");
    expect(named.loss).toBe(whole.loss);
    const bare = file("bare.safetensors");
    const { tensors } = readSafetensors(readFileSync(weights));
    writeFileSync(bare, writeSafetensors(tensors));
    expect(await fovea("predict", "x.png", "--model", bare)).toMatchObject({
      code: 2,
      log: expect.stringContaining("does not say of which network it is"),
    });
  });

  test.each([
    [["--to", "x.safetensors", "--taps", "stem"], "--taps is for ONNX files"],
    [["--to", "x.safetensors", "--names", "keras"], "--names is keras; it must be fovea or torch"],
    [["--to", "x.onnx", "--names", "torch"], "--names goes with a .safetensors file"],
    [[], "--to is missing"],
    [["--to", "x.onnx", "--opset", "17"], "opset is 17; it must be one of 18, 19, 20, 21"],
    [["--to", "x.onnx", "--batch", "0"], "--batch is 0; it must be an integer of at least 1"],
    [
      ["--to", "x.onnx", "--num-classes", "7"],
      "is a run, which knows its network; --num-classes cannot be given",
    ],
    [["--to", "x.onnx", "--training-step", "--taps", "stem"], "--taps does not go with --training-step"],
    [
      ["--to", "x.onnx", "--training-step", "--batch", "any"],
      "--batch is any; a training step has a fixed one",
    ],
    [["--to", "x.onnx", "--training-step", "--no-fold"], "--no-fold is for the ONNX model of a network"],
    [["--to", "x.onnx", "--training-step", "--names", "torch"], "--names goes with a .safetensors file"],
    [["--to", "x.safetensors", "--training-step"], "--training-step is for ONNX files"],
    [["--to", "x.safetensors", "--no-fold"], "--no-fold is for the ONNX model of a network"],
    [["--to", "x.onnx", "--optimizer", "sgd"], "--optimizer goes with --training-step"],
    [
      ["--to", "x.onnx", "--training-step", "--optimizer", "lion"],
      "--optimizer is lion; it must be sgd or adamw",
    ],
  ])("refuses %j", async (options, message) => {
    const { code, log } = await fovea("export", run, ...options);
    expect(code).toBe(2);
    expect(log).toContain(message);
  });

  test("fails and writes nothing for a tap that does not exist", async () => {
    const to = file("none.onnx");
    const { code, log } = await fovea("export", run, "--to", to, "--taps", "layer9.*");
    expect(code).toBe(1);
    expect(log).toContain('no tap fits "layer9.*"; the model has');
    expect(existsSync(to)).toBe(false);
  });

  test("refuses a name that is neither run nor network", async () => {
    const { code, log } = await fovea("export", "resnet19", "--to", file("none.onnx"));
    expect(code).toBe(2);
    expect(log).toContain('no model "resnet19"; did you mean resnet18');
  });
});
