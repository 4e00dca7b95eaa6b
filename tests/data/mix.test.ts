import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { Loader } from "../../src/data/loader.js";
import { type BatchMix, cutmix, mixup, oneMixOf } from "../../src/data/mix.js";
import { randomBeta } from "../../src/data/random-beta.js";
import { trainingData } from "../../src/train/data.js";
import { syntheticDataset } from "./images.js";

const shape = [2, 6, 5] as const;
const size = 60;
const count = 7;

/** Image i is i everywhere, and the only one of its class. */
function mixed(mix: BatchMix, step: number): { images: Float32Array; targets: Float32Array } {
  const images = Float32Array.from({ length: count * size }, (_, k) => Math.floor(k / size));
  const targets = Float32Array.from({ length: count * count }, (_, k) => (k % (count + 1) === 0 ? 1 : 0));
  mix.apply(images, targets, shape, { seed: 2, stream: "mix", step });
  return { images, targets };
}

/** For each row: its partner and the share that it keeps of its own, from its target. */
function mixtures(targets: Float32Array): { own: number; partner: number }[] {
  return Array.from({ length: count }, (_, row) => {
    const shares = [...targets.subarray(row * count, (row + 1) * count)];
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 6);
    const partner = shares.findIndex((share, index) => index !== row && share > 0);
    return { own: shares[row]!, partner: partner < 0 ? row : partner };
  });
}

describe.each([
  ["mixup", mixup({ alpha: 0.4 })],
  ["cutmix", cutmix()],
])("%s", (_, mix) => {
  it("pairs each image with another of the batch, by one share, and is drawn from the key alone", () => {
    fc.assert(
      fc.property(fc.nat(10_000), (step) => {
        const { images, targets } = mixed(mix, step);
        expect(mixed(mix, step)).toEqual({ images, targets });
        const rows = mixtures(targets);
        const paired = rows.filter(({ own }) => own < 1 && own > 0);
        for (const { own } of paired) expect(own).toBeCloseTo(paired[0]!.own, 6);
        expect(new Set(paired.map(({ partner }) => partner)).size).toBe(paired.length);
        // The share of the own image's values is that of its class.
        rows.forEach(({ own, partner }, row) => {
          const values = images.subarray(row * size, (row + 1) * size);
          const mean = values.reduce((sum, value) => sum + value, 0) / size;
          expect(mean).toBeCloseTo(own * row + (1 - own) * partner, 4);
        });
      }),
    );
  });

  it("differs from batch to batch", () => {
    const all = Array.from({ length: 20 }, (_, step) => String(mixed(mix, step).targets));
    expect(new Set(all).size).toBeGreaterThan(15);
  });
});

describe("mixup", () => {
  it("blends all pixels alike", () => {
    const { images, targets } = mixed(mixup({ alpha: 1 }), 3);
    mixtures(targets).forEach(({ own, partner }, row) => {
      for (const value of images.subarray(row * size, (row + 1) * size)) {
        expect(value).toBeCloseTo(own * row + (1 - own) * partner, 5);
      }
    });
  });
});

describe("cutmix", () => {
  it("pastes one rectangle of the partner, at one place in all channels", () => {
    let pasted = 0;
    for (let step = 0; step < 100; step++) {
      const { images, targets } = mixed(cutmix(), step);
      let place: string | undefined;
      mixtures(targets).forEach(({ partner }, row) => {
        if (partner === row) return;
        const other = Array.from(images.subarray(row * size, (row + 1) * size), (value) => value === partner);
        expect(other.slice(0, 30)).toEqual(other.slice(30));
        place ??= String(other);
        expect(String(other)).toBe(place);
        const inside = other.slice(0, 30).flatMap((is, index) => (is ? [index] : []));
        const rows = new Set(inside.map((index) => Math.floor(index / 5)));
        const columns = new Set(inside.map((index) => index % 5));
        expect(inside.length).toBe(rows.size * columns.size);
        expect(Math.max(...rows) - Math.min(...rows)).toBe(rows.size - 1);
        expect(Math.max(...columns) - Math.min(...columns)).toBe(columns.size - 1);
        pasted++;
      });
    }
    expect(pasted).toBeGreaterThan(100);
  });
});

describe("mixtures", () => {
  it("come with their probability", () => {
    const mix = mixup({ probability: 0.3 });
    let changed = 0;
    for (let step = 0; step < 500; step++) {
      if (mixtures(mixed(mix, step).targets).some(({ own }) => own < 1)) changed++;
    }
    expect(Math.abs(changed - 150)).toBeLessThan(4 * Math.sqrt(500 * 0.3 * 0.7));
  });

  it("are drawn from a list", () => {
    const both = oneMixOf([mixup({ alpha: 1 }), cutmix()]);
    const whole = (step: number) => mixed(both, step).images.every((value) => Number.isInteger(value));
    const kinds = Array.from({ length: 60 }, (_, step) => whole(step));
    expect(new Set(kinds).size).toBe(2);
  });

  it("refuse options that are none", () => {
    expect(() => mixup({ alpha: 0 })).toThrow(OptionError);
    expect(() => cutmix({ alpha: -1 })).toThrow("cutmix: alpha is -1");
    expect(() => cutmix({ probability: 1.5 })).toThrow("probability is 1.5");
  });

  it("make a loader's targets soft, of training batches alone", async () => {
    const dataset = syntheticDataset(10);
    const loader = new Loader(dataset, { batchSize: 4, seed: 3, mix: [mixup({ alpha: 1 })] });
    const plain = new Loader(dataset, { batchSize: 4, seed: 3 });
    const { x, y, targets } = await loader.batch(1);
    expect([...y]).toEqual([...(await plain.batch(1)).y]);
    expect(x).not.toEqual((await plain.batch(1)).x);
    expect(targets!.length).toBe(12);
    expect((await loader.batch(1)).targets).toEqual(targets);
    const { y: soft } = await trainingData(loader).batch(1);
    expect(soft).toMatchObject({ dtype: "float32", shape: [4, 3] });
    for await (const batch of loader.sequential()) expect(batch.targets).toBeUndefined();
  });
});

describe("randomBeta", () => {
  it.each([0.1, 0.2, 1, 3.5])("has the mean and variance of Beta(%d, %d)", (alpha) => {
    const values = Array.from({ length: 4000 }, (_, step) =>
      randomBeta(alpha, { seed: 1, stream: "b", step }),
    );
    expect(values.every((value) => value >= 0 && value <= 1)).toBe(true);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    const expected = 1 / (4 * (2 * alpha + 1));
    expect(Math.abs(mean - 0.5)).toBeLessThan(4 * Math.sqrt(expected / values.length));
    expect(Math.abs(variance / expected - 1)).toBeLessThan(0.1);
  });
});
