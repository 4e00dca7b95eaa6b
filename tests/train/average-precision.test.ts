import { describe, expect, it } from "vitest";
import { DataError, OptionError } from "../../src/base/errors.js";
import { averagePrecision, type Box, boxIou, type Detection } from "../../src/train/average-precision.js";

const box = (x: number, y = 0.5, side = 0.2): Box => [x, y, side, side];
const object = (image: number, x: number, number = 0) => ({ image, class: number, box: box(x) });
const detection = (score: number, image: number, x: number, number = 0): Detection => ({
  ...object(image, x, number),
  score,
});

describe("boxIou", () => {
  it("is overlap over union", () => {
    expect(boxIou([1, 1, 2, 2], [1, 1, 2, 2])).toBe(1);
    expect(boxIou([1, 1, 2, 2], [2, 1, 2, 2])).toBeCloseTo(1 / 3, 12);
    expect(boxIou([1, 1, 2, 2], [1, 1, 1, 1])).toBe(0.25);
    expect(boxIou([1, 1, 2, 2], [3, 1, 2, 2])).toBe(0);
    expect(boxIou([1, 1, 0, 0], [1, 1, 0, 0])).toBe(0);
  });
});

describe("averagePrecision", () => {
  it("is 1 where the surest detections find everything", () => {
    const objects = [object(0, 0.2), object(0, 0.7), object(1, 0.5)];
    const right = objects.map(({ image, box: [x] }, index) => detection(0.9 - index / 10, image, x));
    expect(averagePrecision([...right, detection(0.1, 1, 0.1)], objects).mean).toBe(1);
  });

  it("is the area under precision, made monotone, over recall", () => {
    // Right, wrong, right, wrong, right of 4 objects: recalls 1/4, 1/2, 3/4 at precisions 1, 2/3, 3/5.
    const objects = [0.1, 0.4, 0.7].map((x) => object(0, x)).concat(object(1, 0.5));
    const ranked = [0.1, 0.95, 0.4, 0.25, 0.7].map((x, index) => detection(1 - index / 10, 0, x));
    expect(averagePrecision(ranked, objects).mean).toBeCloseTo((1 + 2 / 3 + 3 / 5) / 4, 12);
    // Wrong, right, right: the precision at the first recall is the better one of the second.
    const late = [detection(0.9, 0, 0.95), detection(0.8, 0, 0.1), detection(0.7, 0, 0.4)];
    expect(averagePrecision(late, objects).mean).toBeCloseTo((2 / 3 + 2 / 3) / 4, 12);
  });

  it("counts an object once", () => {
    const objects = [object(0, 0.2), object(0, 0.7)];
    const twice = [detection(0.9, 0, 0.2), detection(0.8, 0, 0.21), detection(0.7, 0, 0.7)];
    expect(averagePrecision(twice, objects).mean).toBeCloseTo((1 + 2 / 3) / 2, 12);
  });

  it("asks for the class, the image and the overlap", () => {
    const objects = [object(0, 0.5)];
    expect(averagePrecision([detection(0.9, 0, 0.5, 1)], objects).mean).toBe(0);
    expect(averagePrecision([detection(0.9, 1, 0.5)], objects).mean).toBe(0);
    // 0.15 of 0.2 wide: IoU 0.6.
    expect(averagePrecision([detection(0.9, 0, 0.55)], objects).mean).toBe(1);
    expect(averagePrecision([detection(0.9, 0, 0.55)], objects, { iou: 0.7 }).mean).toBe(0);
  });

  it("is the mean over the classes that have objects", () => {
    const objects = [object(0, 0.2, 3), object(0, 0.7, 5)];
    const { mean, perClass } = averagePrecision(
      [detection(0.9, 0, 0.2, 3), detection(0.9, 0, 0.2, 4)],
      objects,
    );
    expect([...perClass]).toEqual([
      [3, 1],
      [5, 0],
    ]);
    expect(mean).toBe(0.5);
  });

  it("refuses to judge without objects, and overlaps that are none", () => {
    expect(() => averagePrecision([], [])).toThrow(DataError);
    expect(() => averagePrecision([], [object(0, 0.5)], { iou: 0 })).toThrow(OptionError);
    expect(() => averagePrecision([], [object(0, 0.5)], { iou: 1.1 })).toThrow(OptionError);
  });
});
