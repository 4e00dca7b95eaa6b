import { describe, expect, it } from "vitest";
import { parseOptions } from "../../../src/attention/mechanism.js";
import { VisionTransformer } from "../../../src/attention/transformer/vit.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, namedVariables, trace } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, setValues } from "../images.js";

type Options = ConstructorParameters<typeof VisionTransformer>[0];

const small: Options = {
  imageSize: 8,
  patchSize: 4,
  numClasses: 5,
  embedDim: 8,
  depth: 2,
  heads: 2,
  mlpRatio: 2,
};
const x = image([2, 3, 8, 8]);
const { about } = VisionTransformer;
const full = (options: Options) => parseOptions(about, options);

/** The four patches in another order. */
const shuffled = mapValues(x, (_, index) => {
  const [row, column] = [Math.floor(index / 8) % 8, index % 8];
  // Patch (r, c) takes that of (1 - c, r).
  const [r, c] = [1 - Math.floor(column / 4), Math.floor(row / 4)];
  return numbers(x)[index - (index % 64) + (r * 4 + (row % 4)) * 8 + c * 4 + (column % 4)]!;
});

async function logits(module: VisionTransformer, input = x): Promise<number[]> {
  return numbers((await run(module, input)).outputs.y!);
}

describe("vision transformer", () => {
  it("has the parameters of timm's models", () => {
    const named = (embedDim: number, heads: number, depth = 12, patchSize = 16) =>
      about.parameters(full({ embedDim, heads, depth, patchSize }));
    expect(named(192, 3)).toBe(5_717_416);
    expect(named(384, 6)).toBe(22_050_664);
    expect(named(768, 12)).toBe(86_567_656);
    expect(named(1024, 16, 24)).toBe(304_326_632);
  });

  it("costs quadratically in the number of tokens", () => {
    const cost = (tokens: number) =>
      about.macs(full({ ...small, imageSize: [4, 4 * (tokens - 1)] }), { batch: 1 });
    // Two layers of 2 T^2 D: the second difference of the square is 2.
    for (const t of [3, 10, 100]) expect(cost(t + 1) - 2 * cost(t) + cost(t - 1)).toBe(2 * 2 * 8 * 2);
  });

  it("does not see the order of patches without positions", async () => {
    for (const options of [{}, { classToken: false, globalPool: "max" as const }]) {
      const module = randomize(new VisionTransformer({ ...small, ...options }));
      expect(distance(await logits(module), await logits(module, shuffled))).toBeGreaterThan(1e-2);
      setValues(module, "posEmbed", 0);
      expect(distance(await logits(module), await logits(module, shuffled))).toBeLessThan(1e-4);
    }
  });

  it("rolls out half of each layer's mean map and half of the identity, later layers from the left", async () => {
    const module = randomize(new VisionTransformer({ ...small, depth: 3 }));
    const layers = [0, 1, 2].map((index) => `blocks.${index}.attention`);
    const { taps } = await run(module, x, { taps: [...layers, "rollout", "rolloutClass"] });
    const size = 5;
    const layerOf = (name: string): number[][] => {
      const values = numbers(taps[name]!);
      return Array.from({ length: size }, (_, i) =>
        Array.from(
          { length: size },
          (_, j) => (values[i * size + j]! + values[size * size + i * size + j]!) / 4 + (i === j ? 0.5 : 0),
        ),
      );
    };
    const product = (a: number[][], b: number[][]) =>
      a.map((row) => row.map((_, j) => row.reduce((total, value, k) => total + value * b[k]![j]!, 0)));
    const expected = layers.map(layerOf).reduce((rollout, layer) => product(layer, rollout));
    const rollout = numbers(taps.rollout!).slice(0, size * size);
    expect(distance(rollout, expected.flat())).toBeLessThan(1e-6);
    expect(numbers(taps.rolloutClass!).slice(0, 4)).toEqual(rollout.slice(1, 5));
    expect(taps.rolloutClass!.shape).toEqual([2, 2, 2]);
  });

  it("pools patches alone, unless the prefix is included", async () => {
    for (const poolIncludePrefix of [false, true]) {
      const options = { numClasses: 0, regTokens: 1, globalPool: "avgmax", poolIncludePrefix } as const;
      const module = randomize(new VisionTransformer({ ...small, ...options }));
      setValues(module, "fcNorm.weight", 1);
      setValues(module, "fcNorm.bias", 0);
      const { outputs, taps } = await run(module, x, { taps: ["tokens"] });
      const tokens = numbers(taps.tokens!).slice(0, 6 * 8);
      const pooled = Array.from({ length: 8 }, (_, channel) => {
        const values = tokens.filter((_, at) => at % 8 === channel && (poolIncludePrefix || at >= 16));
        return (Math.max(...values) + values.reduce((a, b) => a + b) / values.length) / 2;
      });
      const mean = pooled.reduce((a, b) => a + b) / 8;
      const deviation = Math.sqrt(pooled.reduce((total, value) => total + (value - mean) ** 2, 0) / 8);
      const expected = pooled.map((value) => (value - mean) / deviation);
      expect(distance(numbers(outputs.y!).slice(0, 8), expected)).toBeLessThan(1e-4);
    }
  });

  it("has the norm before pooling, or after it as fcNorm", () => {
    const norms = (options: Partial<Options>) =>
      [...namedVariables(new VisionTransformer({ ...small, ...options })).keys()].filter((path) =>
        /^(norm|fcNorm|normPre)\.weight|^patchEmbed.proj.bias/.test(path),
      );
    expect(norms({})).toEqual(["patchEmbed.proj.bias", "norm.weight"]);
    expect(norms({ globalPool: "avg" })).toEqual(["patchEmbed.proj.bias", "fcNorm.weight"]);
    expect(norms({ globalPool: "avg", fcNorm: false })).toEqual(["patchEmbed.proj.bias", "norm.weight"]);
    expect(norms({ fcNorm: true, preNorm: true })).toEqual(["normPre.weight", "fcNorm.weight"]);
  });

  it("starts as timm's does", () => {
    const module = new VisionTransformer({ ...small, embedDim: 32, initValues: 1e-5 });
    initialize(module);
    const values = (path: string) => [...(namedVariables(module).get(path)!.value as Float32Array)];
    const deviation = (path: string) => Math.hypot(...values(path)) / Math.sqrt(values(path).length);
    for (const path of ["blocks.0.attn.qkv.weight", "blocks.1.mlp.fc1.weight", "head.weight", "posEmbed"]) {
      expect(deviation(path) / 0.02).toBeGreaterThan(0.85);
      expect(deviation(path) / 0.02).toBeLessThan(1.15);
    }
    expect(deviation("clsToken")).toBeLessThan(2e-6);
    for (const path of ["blocks.0.attn.qkv.bias", "blocks.0.mlp.fc2.bias", "head.bias"]) {
      expect(new Set(values(path))).toEqual(new Set([0]));
    }
    expect(new Set(values("blocks.1.ls2.gamma"))).toEqual(new Set([Math.fround(1e-5)]));
    expect(Math.max(...values("patchEmbed.proj.weight").map(Math.abs))).toBeCloseTo(1 / Math.sqrt(48), 2);
  });

  it("refuses images of another size", () => {
    const module = new VisionTransformer(small);
    for (const shape of [
      [2, 3, 12, 8],
      [2, 1, 8, 8],
      [3, 8, 8],
    ])
      expect(() => trace(module, { shape })).toThrow(ShapeError);
  });
});
