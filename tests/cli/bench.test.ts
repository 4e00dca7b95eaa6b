import { expect, test } from "vitest";
import { fovea } from "./fovea.js";

const small = ["--size", "8", "--num-classes", "3", "--batch", "2", "--rounds", "2", "--threads", "1"];

test("fovea bench measures inference and training of each network", async () => {
  const { code, json } = await fovea("bench", "seresnet8", "resnet20", ...small, "--json");
  expect(code).toBe(0);
  const { findings } = json<{
    findings: {
      model: string;
      work: string;
      device: string;
      operations: number;
      milliseconds: { median: number };
    }[];
  }>();
  expect(findings.map(({ model, work, device }) => [model, work, device])).toEqual([
    ["seresnet8", "inference", "cpu"],
    ["seresnet8", "training step", "cpu"],
    ["resnet20", "inference", "cpu"],
    ["resnet20", "training step", "cpu"],
  ]);
  const [forward, step] = findings;
  // Backward is a product for each of input and weight, but for the first layer's input.
  expect(step!.operations / forward!.operations).toBeGreaterThan(2.8);
  expect(step!.operations / forward!.operations).toBeLessThan(3);
  for (const { milliseconds } of findings) expect(milliseconds.median).toBeGreaterThan(0);
});

test("one kind of work, as a table", async () => {
  const { code, out } = await fovea("bench", "seresnet8", ...small, "--work", "inference");
  expect(code).toBe(0);
  expect(out).toMatch(/^seresnet8 +inference +cpu +[\d.]+ +[\d.]+ to [\d.]+ +[\d.]+ +[\d.]+ [kMG] FLOP\/s$/m);
  expect(out).not.toContain("training");
});

test.each([
  [["seresnet8", "--work", "dreaming"], "--work is dreaming; it must be inference or training"],
  [["seresnet8", "seresnet8"], "seresnet8 is named twice"],
  [["seresnet8", ...small, "--device", "cpu", "--device", "auto"], "--device auto is cpu here"],
  [["resnet19"], 'no model "resnet19"'],
])("refuses %j", async (args, message) => {
  const { code, log } = await fovea("bench", ...args);
  expect(code).toBe(2);
  expect(log).toContain(message);
});
