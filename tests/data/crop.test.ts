import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import {
  centered,
  checkRandomBox,
  coveringSize,
  randomBox,
  randomPlace,
  randomResizedCropBox,
} from "../../src/data/crop.js";

const options = { scale: [0.08, 1], ratio: [3 / 4, 4 / 3] } as const;
const key = (step: number) => ({ seed: 1, stream: "crop", step });

describe("random rectangles", () => {
  it("lie within the image, for every image and key", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 3000 }),
        fc.integer({ min: 1, max: 3000 }),
        fc.nat(),
        (height, width, step) => {
          const box = randomResizedCropBox([height, width], options, key(step));
          expect(box.height).toBeGreaterThanOrEqual(1);
          expect(box.width).toBeGreaterThanOrEqual(1);
          expect(box.top).toBeGreaterThanOrEqual(0);
          expect(box.left).toBeGreaterThanOrEqual(0);
          expect(box.top + box.height).toBeLessThanOrEqual(height);
          expect(box.left + box.width).toBeLessThanOrEqual(width);
          expect(randomResizedCropBox([height, width], options, key(step))).toEqual(box);
        },
      ),
    );
  });

  it("have areas and ratios over their ranges", () => {
    const boxes = Array.from({ length: 2000 }, (_, step) => randomBox([400, 500], options, key(step))!);
    const areas = boxes.map((box) => (box.height * box.width) / 200_000);
    const ratios = boxes.map((box) => box.width / box.height);
    expect(Math.min(...areas)).toBeGreaterThan(0.079);
    expect(Math.min(...areas)).toBeLessThan(0.1);
    expect(Math.max(...areas)).toBeGreaterThan(0.9);
    expect(Math.min(...ratios)).toBeGreaterThan(0.74);
    expect(Math.max(...ratios)).toBeLessThan(1.35);
    const logs = ratios.map(Math.log);
    const bound = (4 * Math.log(4 / 3)) / Math.sqrt(3 * 2000);
    expect(Math.abs(logs.reduce((sum, log) => sum + log, 0) / 2000)).toBeLessThan(2 * bound);
    expect(new Set(boxes.map(({ top }) => top)).size).toBeGreaterThan(100);
  });

  it("fall back to the middle, at an allowed ratio", () => {
    const always = { scale: [0.9, 1], ratio: [3 / 4, 4 / 3] } as const;
    expect(randomResizedCropBox([100, 1000], always, key(1))).toEqual({
      top: 0,
      left: 433,
      height: 100,
      width: 133,
    });
    expect(randomResizedCropBox([1000, 90], always, key(1))).toEqual({
      top: 440,
      left: 0,
      height: 120,
      width: 90,
    });
  });

  it("are refused where a range is none", () => {
    expect(() => checkRandomBox("crop", { scale: [0.1, 1.5], ratio: [1, 1] })).toThrow(OptionError);
    expect(() => checkRandomBox("crop", { scale: [0.1, 1], ratio: [2, 1] })).toThrow("ratio is [2, 1]");
  });

  it("reach every place", () => {
    const places = new Set<string>();
    for (let step = 0; step < 300; step++) {
      const { top, left, height, width } = randomPlace([5, 4], [3, 3], key(step));
      expect([height, width]).toEqual([3, 3]);
      places.add(`${top} ${left}`);
    }
    expect([...places].sort()).toEqual(["0 0", "0 1", "1 0", "1 1", "2 0", "2 1"]);
  });
});

describe("sizes of evaluation", () => {
  it("are torchvision's", () => {
    // Resize(256) of an image of 375 x 500, then CenterCrop(224).
    expect(coveringSize([375, 500], [224, 224], 0.875)).toEqual([256, 341]);
    expect(centered([256, 341], [224, 224])).toEqual({ top: 16, left: 58, height: 224, width: 224 });
    expect(coveringSize([28, 28], [28, 28], 1)).toEqual([28, 28]);
    expect(coveringSize([10, 400], [20, 30], 1)).toEqual([20, 800]);
  });

  it("cover the crop in proportion, for every image", () => {
    const side = fc.integer({ min: 1, max: 4000 });
    fc.assert(
      fc.property(side, side, fc.constantFrom(1, 0.875, 0.9), (height, width, cropRatio) => {
        const [h, w] = coveringSize([height, width], [96, 128], cropRatio);
        expect(h).toBeGreaterThanOrEqual(Math.floor(96 / cropRatio + 1e-6));
        expect(w).toBeGreaterThanOrEqual(Math.floor(128 / cropRatio + 1e-6));
        // One side is covered as closely as can be.
        expect(Math.min(h - Math.floor(96 / cropRatio + 1e-6), w - Math.floor(128 / cropRatio + 1e-6))).toBe(
          0,
        );
      }),
    );
  });
});
