import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { mechanismClasses } from "../../src/attention/catalogue.js";
import { FoveaError } from "../../src/base/errors.js";
import { createContestant } from "../../src/cli/compare/contestant.js";
import { tracePasses } from "../../src/cli/compare/passes.js";
import { runCommandLine } from "../../src/cli/program.js";

const folder = mkdtempSync(join(tmpdir(), "fovea-compare-"));
afterAll(() => rmSync(folder, { recursive: true }));

async function compare(...args: string[]) {
  const [out, log]: [string[], string[]] = [[], []];
  const code = await runCommandLine(["compare", ...args], {
    result: (text) => out.push(text),
    log: (text) => log.push(text),
  });
  return { code, out: out.join("\n"), log: log.join("\n") };
}

const small = ["--channels", "16", "--size", "6x4", "--batch", "2", "--rounds", "3"];

interface Spread {
  median: number;
  least: number;
  most: number;
}
interface Found {
  name: string;
  options: object;
  cost: { parameters: number; macs: number; activations: { forward: number; kept: number } };
  forward: Spread;
  training: Spread;
  accuracy?: { mean: number; least: number; most: number; bySeed: number[] };
}

describe("fovea compare", () => {
  it("counts and times mechanisms, in JSON", async () => {
    const { code, out } = await compare(
      "none",
      "se",
      "se:reduction=2,gate=hardSigmoid",
      "simam",
      ...small,
      "--json",
    );
    expect(code).toBe(0);
    const { mechanisms, ...setting } = JSON.parse(out) as { mechanisms: Found[] };
    expect(setting).toEqual({ batch: 2, channels: 16, height: 6, width: 4, rounds: 3 });
    expect(
      mechanisms.map(({ name, options, cost: { parameters, macs } }) => ({
        name,
        options,
        parameters,
        macs,
      })),
    ).toEqual([
      { name: "none", options: {}, parameters: 0, macs: 0 },
      { name: "se", options: { channels: 16 }, parameters: 2 * 16 * 8 + 24, macs: 2 * 16 * 8 },
      {
        name: "se:reduction=2,gate=hardSigmoid",
        options: { channels: 16, reduction: 2, gate: "hardSigmoid" },
        parameters: 2 * 16 * 8 + 24,
        macs: 2 * 16 * 8,
      },
      { name: "simam", options: {}, parameters: 0, macs: 0 },
    ]);
    const image = 4 * 2 * 16 * 6 * 4;
    const [none, se, , simam] = mechanisms.map(({ cost }) => cost.activations);
    expect(none).toEqual({ forward: 0, kept: 0 });
    // The image and, per image, the squeezed channels, the hidden units and the gates are read by the gradient.
    expect(se!.kept).toBeGreaterThanOrEqual(image + 4 * 2 * (16 + 8 + 16));
    expect(se!.kept).toBeLessThan(image + 4 * 2 * 4 * 16);
    expect(simam!.kept).toBeGreaterThan(2 * image);
    for (const { forward, training } of mechanisms) {
      for (const { median, least, most } of [forward, training]) {
        expect(least).toBeGreaterThan(0);
        expect(median).toBeGreaterThanOrEqual(least);
        expect(most).toBeGreaterThanOrEqual(median);
      }
    }
  });

  it("writes a table and a chart", async () => {
    const file = join(folder, "chart.svg");
    const { code, out, log } = await compare("none", "eca", "ccnet", ...small, "--chart", file);
    expect(code).toBe(0);
    expect(out).toMatch(/^mechanism +parameters +macs +kept +forward ms +and backward ms$/m);
    expect(out).toMatch(/^eca +3 +48 +\d+(\.\d+)? KiB( +\d+\.\d+ \(\d+\.\d+ to \d+\.\d+\)){2}$/m);
    expect(log).toContain(`chart written to ${file}`);
    const svg = readFileSync(file, "utf8");
    expect(svg).toContain("batch 2, 16 channels, 6 x 4 pixels");
    expect(svg).toMatch(
      /<desc [^>]*>Parameters: none 0, eca 3, ccnet 341; Multiply-accumulates: none 0, eca 48,/,
    );
    expect(svg.match(/<rect class="f0"/g)).toHaveLength(3);
    expect(svg).not.toContain("Test error");
  });

  it("trains a network with each as well", async () => {
    const images = ["--train-images", "256", "--test-images", "50"];
    const data = ["--data", "mnist", "--epochs", "1", "--seeds", "2", ...images];
    const { code, out, log } = await compare("none", "se:reduction=4", ...small, ...data, "--json");
    expect(code).toBe(0);
    const { mechanisms, training } = JSON.parse(out) as {
      mechanisms: Found[];
      training: { settings: object };
    };
    expect(training).toMatchObject({
      seeds: 2,
      settings: { model: "seresnet8", epochs: 1, data: { trainImages: 256 } },
    });
    for (const { name, accuracy } of mechanisms) {
      const { mean, least, most, bySeed } = accuracy!;
      expect(bySeed).toHaveLength(2);
      expect(mean).toBeCloseTo((bySeed[0]! + bySeed[1]!) / 2, 12);
      expect([least, most]).toEqual([...bySeed].sort((a, b) => a - b));
      for (const [seed, value] of bySeed.entries()) {
        expect(log).toContain(`${name}, seed ${seed}: accuracy ${(100 * value).toFixed(2)} %`);
      }
    }
  });

  it.each([
    [["sse"], 2, 'no mechanism "sse"; did you mean'],
    [["se", "se"], 2, "se is named twice"],
    [["se:reduction"], 2, 'options are written as id:name=value,name=value; found "reduction"'],
    [["se:reduction=0"], 2, "reduction is 0; it must be number > 0"],
    [["se:reduction=1,reduction=2"], 2, "reduction is given twice"],
    [["mha:embedDim=8"], 2, "mha takes no image but query [batch, length, 8]"],
    [["encnet"], 2, "encnet: numClasses is missing: seLoss needs the number of classes"],
    [["se", "--channels", "0"], 2, "--channels is 0; it must be an integer of at least 1"],
    [["se", "--size", "big"], 2, "--size is big"],
    [["se", "--rounds", "2.5"], 2, "--rounds is 2.5"],
    [["se", "--epochs", "2"], 2, "--epochs goes with --data"],
    [["se", "--data-folder", "x"], 2, "--data-folder goes with --data"],
    [
      ["se", "--data", "cifar"],
      2,
      "--data is cifar; it must be mnist, cifar10, cifar100 or a folder of images",
    ],
    [["se", "--data", "mnist", "--train-images", "0"], 2, "--train-images is 0"],
    [
      ["csra:numClasses=10", "--data", "mnist"],
      2,
      "csra:numClasses=10 cannot stand in seresnet8: attention csra does not fit",
    ],
    [["simam", "--size", "1"], 1, "height * width must be >= 2"],
    [[], 2, "missing required args"],
  ])("refuses %j", async (args, code, message) => {
    const refused = await compare(...args);
    expect(refused.log).toContain(message);
    expect([refused.code, refused.out]).toEqual([code, ""]);
  });

  it("can build and differentiate every mechanism of images", () => {
    const image = { batch: 2, channels: 64, height: 8, width: 6 };
    const asked: string[] = [];
    for (const { about } of mechanismClasses()) {
      try {
        const { cost } = tracePasses(createContestant(about.id, image));
        expect(cost.parameters, about.id).toBeGreaterThanOrEqual(0);
        expect(Number.isInteger(cost.macs), `${about.id}: ${cost.macs} macs`).toBe(true);
        expect(cost.activations.kept, about.id).toBeGreaterThan(0);
      } catch (error) {
        // Those that take no image, or options that only the user knows.
        expect(error, about.id).toBeInstanceOf(FoveaError);
        asked.push(about.id);
      }
    }
    expect(asked).toContain("encnet");
    for (const id of [
      "se",
      "cbam",
      "sk",
      "cond-conv",
      "gaternet",
      "spsequencenet",
      "stc",
      "sca-cnn",
      "highway",
    ]) {
      expect(asked).not.toContain(id);
    }
  });
});
