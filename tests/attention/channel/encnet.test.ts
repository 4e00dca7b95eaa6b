import { describe, expect, it } from "vitest";
import { EncNet } from "../../../src/attention/channel/encnet.js";
import { Encoding } from "../../../src/attention/channel/encoding.js";
import { OptionError } from "../../../src/base/errors.js";
import { namedVariables } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize, shufflePixels, tapOf } from "../images.js";

/** E_k = sum over i of a_ik (f_i - c_k) with the residuals spelled out, in float64. */
function encode(f: number[][], codewords: number[][], scale: number[]): number[][] {
  const sums = codewords.map((c) => c.map(() => 0));
  for (const feature of f) {
    const residuals = codewords.map((c) => feature.map((value, channel) => value - c[channel]!));
    const logits = residuals.map((r, k) => scale[k]! * r.reduce((sum, value) => sum + value ** 2, 0));
    const weights = logits.map((logit) => Math.exp(logit - Math.max(...logits)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    residuals.forEach((r, k) => {
      r.forEach((value, channel) => {
        sums[k]![channel]! += (weights[k]! / total) * value;
      });
    });
  }
  return sums;
}

function rowsOf(values: number[], length: number): number[][] {
  return Array.from({ length: values.length / length }, (_, row) =>
    values.slice(row * length, (row + 1) * length),
  );
}

describe("context encoding", () => {
  it.each([1, 4])("sums softly assigned residuals to %i codewords", async (numCodes) => {
    const layer = randomize(new Encoding({ channels: 3, numCodes }));
    const features = image([1, 7, 3]);
    const { outputs, taps } = await run(layer, features, { taps: ["assignment"] });
    const variables = namedVariables(layer);
    const values = (path: string) => Array.from(variables.get(path)!.value as Float32Array);
    const expected = encode(rowsOf(numbers(features), 3), rowsOf(values("codewords"), 3), values("scale"));
    expect(outputs.y!.shape).toEqual([1, numCodes, 3]);
    expect(distance(numbers(outputs.y!), expected.flat())).toBeLessThan(1e-5);
    for (const row of rowsOf(numbers(taps.assignment!), numCodes)) {
      expect(row.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1, 5);
      if (numCodes === 1) expect(row).toEqual([1]);
    }
  });

  it("starts with codewords near zero and negative smoothing factors", () => {
    const layer = new Encoding({ channels: 16, numCodes: 4 });
    const module = new EncNet({ channels: 16, numCodes: 4, seLoss: false });
    expect(module.encoding.scale.shape).toEqual(layer.scale.shape);
    for (const [path, variable] of namedVariables(layer)) {
      variable.initialize({ seed: 3, path });
      const values = Array.from(variable.value as Float32Array);
      const [low, high] = path === "scale" ? [-1, 0] : [-1 / 8, 1 / 8];
      expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...values)).toBeLessThanOrEqual(high);
    }
  });

  it("does not see where the pixels lie", async () => {
    const module = randomize(new EncNet({ channels: 6, numCodes: 4, numClasses: 3 }));
    const x = image([2, 6, 5, 4]);
    expect(distance(await tapOf(module, x), await tapOf(module, shufflePixels(x)))).toBeLessThan(1e-5);
    const logits = async (input: typeof x) => numbers((await run(module, input)).outputs.seLogits!);
    expect(distance(await logits(x), await logits(shufflePixels(x)))).toBeLessThan(1e-5);
  });

  it("has the class head only with seLoss, which needs the number of classes", async () => {
    const x = image([1, 6, 2, 2]);
    const plain = await run(new EncNet({ channels: 6, seLoss: false }), x);
    expect(Object.keys(plain.outputs)).toEqual(["y"]);
    const { outputs } = await run(new EncNet({ channels: 6, numClasses: 9 }), x);
    expect(outputs.seLogits!.shape).toEqual([1, 9]);
    expect(() => new EncNet({ channels: 6 })).toThrow(OptionError);
  });
});
