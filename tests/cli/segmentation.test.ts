import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { exportStep } from "../../src/cli/network/export-step.js";
import { runCommandLine } from "../../src/cli/program.js";
import { defaultResizing } from "../../src/data/preprocessing.js";
import * as models from "../../src/models/registry.js";
import { encodePng } from "../../src/report/png.js";
import { sgd } from "../../src/train/optimizers.js";

async function fovea(...args: string[]) {
  const [out, log]: [string[], string[]] = [[], []];
  const code = await runCommandLine(args, {
    result: (text) => out.push(text),
    log: (text) => log.push(text),
  });
  return { code, out: out.join("\n"), log: log.join("\n") };
}

let folder: string;
let image: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-segmentation-"));
  image = join(folder, "image.png");
  const pixels = Uint8ClampedArray.from({ length: 40 * 40 * 4 }, (_, index) =>
    index % 4 === 3 ? 255 : index % 251,
  );
  await writeFile(image, await encodePng({ width: 40, height: 40, data: pixels }));
});
afterAll(() => rm(folder, { recursive: true }));

describe("a network that gives every pixel a class", () => {
  it.each([
    ["predict", () => ["predict", image, "--model", "u-net"]],
    ["evaluate", () => ["evaluate", "unet", "--data", folder]],
    ["train", () => ["train", "--model", "u-net", "--data", "mnist", "--out", join(folder, "run")]],
  ])("is refused by %s", async (_command, args) => {
    const { code, log } = await fovea(...args());
    expect(log).toContain("unet is a network for segmentation, which gives every pixel a class");
    expect(code).toBe(2);
  });

  it("is summed up", async () => {
    const { code, out } = await fovea("summary", "u-net", "--size", "32", "--attention", "attention-gate");
    expect(code).toBe(0);
    expect(out).toContain("decoder.3");
  });

  it("has its training step exported", async () => {
    const options = { depth: 1, baseChannels: 4, numClasses: 3 };
    const model = models.create("unet", options);
    const preprocessing = {
      ...defaultResizing,
      cropRatio: 1,
      imageShape: [3, 6, 8] as const,
      normalization: { mean: [0, 0, 0], std: [1, 1, 1] },
    };
    const network = {
      title: "unet",
      model,
      description: { name: "unet", options, classes: ["a", "b", "c"], preprocessing },
    };
    const { inputs, difference } = await exportStep(network, {
      opset: 20,
      batch: 2,
      optimizer: sgd(),
      session: {},
    });
    expect(difference).toBeLessThan(1e-5);
    const shapes = inputs.filter(({ role }) => role === "batch").map(({ shape }) => shape);
    expect(shapes).toEqual([
      [2, 3, 6, 8],
      [2, 6, 8],
    ]);
  });
});
