import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import {
  type Augmentation,
  composeAugmentations,
  randomCrop,
  randomHorizontalFlip,
  randomRotation,
  randomShift,
  randomVerticalFlip,
} from "../../src/data/augment.js";
import type { ImageShape } from "../../src/data/dataset.js";

const shape: ImageShape = [2, 4, 5];
const image = Float32Array.from({ length: 40 }, (_, i) => (i + 1) / 64);

function apply(augmentation: Augmentation, step: number, source = image, of = shape): Float32Array {
  const target = new Float32Array(source.length).fill(Number.NaN);
  const before = source.slice();
  augmentation.apply(source, target, of, { seed: 3, stream: "augment", step });
  expect(source).toEqual(before);
  return target;
}

/** The image with (y, x) read at (y + dy, x + dx), by a rule for what lies outside. */
function moved(
  dy: number,
  dx: number,
  outside: (plane: number, y: number, x: number) => number,
): Float32Array {
  return Float32Array.from(image, (_, i) => {
    const [plane, y, x] = [Math.floor(i / 20), (Math.floor(i / 5) % 4) + dy, (i % 5) + dx];
    return y >= 0 && y < 4 && x >= 0 && x < 5 ? image[plane * 20 + y * 5 + x]! : outside(plane, y, x);
  });
}

function offsets(limit: number): [number, number][] {
  const range = Array.from({ length: 2 * limit + 1 }, (_, i) => i - limit);
  return range.flatMap((dy) => range.map((dx): [number, number] => [dy, dx]));
}

/** Draws until each of the expected images has come, and refuses any other. */
function expectExactly(augmentation: Augmentation, expected: Float32Array[], draws = 600): void {
  const wanted = new Set(expected.map(String));
  const seen = new Set<string>();
  for (let step = 0; step < draws; step++) {
    const name = String(apply(augmentation, step));
    expect(wanted).toContain(name);
    seen.add(name);
  }
  expect(seen).toEqual(wanted);
}

const all: Augmentation[] = [
  randomShift({ pixels: 2 }),
  randomCrop({ padding: 2, mode: "reflect" }),
  randomHorizontalFlip(),
  randomVerticalFlip(),
  randomRotation({ degrees: 30 }),
  composeAugmentations([randomRotation({ degrees: 10 }), randomShift({ pixels: 1 }), randomHorizontalFlip()]),
];

describe("every augmentation", () => {
  it.each(all.map((augmentation) => [augmentation.name, augmentation] as const))(
    "%s depends on the key alone, and changes with it",
    (_, augmentation) => {
      const first = Array.from({ length: 30 }, (_, step) => apply(augmentation, step));
      for (let step = 29; step >= 0; step--) expect(apply(augmentation, step)).toEqual(first[step]);
      expect(new Set(first.map(String)).size).toBeGreaterThan(1);
    },
  );
});

describe("randomShift", () => {
  it("moves by each offset up to its limit and fills with a constant", () => {
    expectExactly(
      randomShift({ pixels: 1 }),
      offsets(1).map(([dy, dx]) => moved(dy, dx, () => 0)),
    );
    expectExactly(
      randomShift({ pixels: 2, fill: 0.5 }),
      offsets(2).map(([dy, dx]) => moved(dy, dx, () => 0.5)),
    );
  });

  it("may move an image out of sight", () => {
    const images = Array.from({ length: 200 }, (_, step) => apply(randomShift({ pixels: 9, fill: 1 }), step));
    expect(images.some((values) => values.every((value) => value === 1))).toBe(true);
  });
});

describe("randomCrop", () => {
  const at = (plane: number, y: number, x: number) => image[plane * 20 + y * 5 + x]!;
  it("pads with a constant", () => {
    expectExactly(
      randomCrop({ padding: 1, fill: 0.25 }),
      offsets(1).map(([dy, dx]) => moved(dy, dx, () => 0.25)),
    );
  });

  it("pads with the edge", () => {
    const clamp = (value: number, end: number) => Math.max(0, Math.min(value, end));
    const edge = (plane: number, y: number, x: number) => at(plane, clamp(y, 3), clamp(x, 4));
    expectExactly(
      randomCrop({ padding: 2, mode: "edge" }),
      offsets(2).map(([dy, dx]) => moved(dy, dx, edge)),
    );
  });

  it("pads with the mirror image, its edge not repeated", () => {
    const mirror = (value: number, end: number) =>
      value < 0 ? -value : value > end ? 2 * end - value : value;
    const reflect = (plane: number, y: number, x: number) => at(plane, mirror(y, 3), mirror(x, 4));
    expectExactly(
      randomCrop({ padding: 2, mode: "reflect" }),
      offsets(2).map(([dy, dx]) => moved(dy, dx, reflect)),
    );
  });
});

describe("randomHorizontalFlip", () => {
  const flipped = Float32Array.from(image, (_, i) => image[i - (i % 5) + 4 - (i % 5)]!);

  it("mirrors with its probability", () => {
    expectExactly(randomHorizontalFlip(), [image, flipped]);
    expectExactly(randomHorizontalFlip({ probability: 0 }), [image]);
    expectExactly(randomHorizontalFlip({ probability: 1 }), [flipped]);
    const rare = randomHorizontalFlip({ probability: 0.1 });
    let count = 0;
    for (let step = 0; step < 2000; step++) if (apply(rare, step)[0] === flipped[0]) count++;
    expect(Math.abs(count - 200)).toBeLessThan(4 * Math.sqrt(2000 * 0.1 * 0.9));
  });
});

describe("randomVerticalFlip", () => {
  it("mirrors top to bottom with its probability", () => {
    const flipped = Float32Array.from(image, (_, i) => image[i - (i % 20) + 15 - (i % 20) + 2 * (i % 5)]!);
    expectExactly(randomVerticalFlip(), [image, flipped]);
    expectExactly(randomVerticalFlip({ probability: 0 }), [image]);
    expectExactly(randomVerticalFlip({ probability: 1 }), [flipped]);
  });
});

describe("randomRotation", () => {
  const square: ImageShape = [1, 21, 21];
  /** Brightness that depends on the place linearly: bilinear interpolation is exact. */
  const slope = Float32Array.from(
    { length: 441 },
    (_, i) => 0.5 + 0.01 * (Math.floor(i / 21) - 10) + 0.02 * ((i % 21) - 10),
  );

  /** The two slopes of a rotated linear image, from its middle. */
  function slopes(values: Float32Array): [number, number] {
    const value = (y: number, x: number) => values[(y + 10) * 21 + x + 10]!;
    return [(value(3, 0) - value(-3, 0)) / 6, (value(0, 3) - value(0, -3)) / 6];
  }

  it("keeps the image at angle zero", () => {
    expectExactly(randomRotation({ degrees: 0 }), [image], 5);
  });

  it("turns about the centre by angles spread over the range", () => {
    const rotation = randomRotation({ degrees: 30 });
    const angles = Array.from({ length: 300 }, (_, step) => {
      const values = apply(rotation, step, slope, square);
      expect(values[220]).toBeCloseTo(0.5, 6);
      const [y, x] = slopes(values);
      expect(Math.hypot(y, x)).toBeCloseTo(Math.hypot(0.01, 0.02), 6);
      return ((Math.atan2(y, x) - Math.atan2(0.01, 0.02)) * 180) / Math.PI;
    });
    expect(Math.max(...angles)).toBeLessThanOrEqual(30.001);
    expect(Math.min(...angles)).toBeGreaterThanOrEqual(-30.001);
    expect(Math.max(...angles)).toBeGreaterThan(27);
    expect(Math.min(...angles)).toBeLessThan(-27);
    expect(Math.abs(angles.reduce((sum, angle) => sum + angle, 0) / 300)).toBeLessThan(
      (4 * 30) / Math.sqrt(3 * 300),
    );
  });

  it("interpolates linearly inside and fills outside, channel by channel", () => {
    const two: ImageShape = [2, 21, 21];
    const both = new Float32Array(882);
    both.set(slope);
    both.set(
      slope.map((value) => 1 - value),
      441,
    );
    const values = apply(randomRotation({ degrees: 45, fill: 0.5 }), 1, both, two);
    const single = apply(randomRotation({ degrees: 45, fill: 0.5 }), 1, slope, square);
    expect(values.slice(0, 441)).toEqual(single);
    for (let i = 0; i < 441; i++) expect(values[441 + i]).toBeCloseTo(1 - single[i]!, 5);
    const [y, x] = slopes(single);
    for (let dy = -7; dy <= 7; dy++) {
      for (let dx = -7; dx <= 7; dx++) {
        if (Math.hypot(dy, dx) > 9) continue;
        expect(single[(dy + 10) * 21 + dx + 10]).toBeCloseTo(0.5 + y * dy + x * dx, 5);
      }
    }
    const white = new Float32Array(441).fill(1);
    const corners = Array.from({ length: 20 }, (_, step) =>
      Math.min(...apply(randomRotation({ degrees: 45, fill: -2 }), step, white, square)),
    );
    expect(corners).toContain(-2);
    const inside = apply(randomRotation({ degrees: 45, fill: 1 }), 3, white, square);
    expect(inside.every((value) => value === 1)).toBe(true);
  });
});

describe("composeAugmentations", () => {
  /** Adds `amount`, and notes the streams it is given. */
  function adder(amount: number, streams: string[] = []): Augmentation {
    return {
      name: "add",
      apply(source, target, _, key) {
        streams.push(key.stream);
        source.forEach((value, i) => {
          target[i] = 2 * value + amount;
        });
      },
    };
  }

  it("applies in order, whatever the number", () => {
    for (let count = 0; count <= 5; count++) {
      const stages = Array.from({ length: count }, (_, i) => adder(i + 1));
      const expected = image.map((value) => stages.reduce((sum, _, i) => 2 * sum + i + 1, value));
      expect(apply(composeAugmentations(stages), 0)).toEqual(expected);
    }
  });

  it("gives each stage random numbers of its own", () => {
    const streams: string[] = [];
    apply(composeAugmentations([adder(1, streams), adder(1, streams)]), 0);
    expect(streams).toEqual(["augment.0.add", "augment.1.add"]);
  });

  it("goes on with images of another size", () => {
    const both = composeAugmentations([adder(0), adder(0)]);
    expect(apply(both, 0)).toEqual(image.map((value) => 4 * value));
    expect(apply(both, 0, Float32Array.of(1), [1, 1, 1])).toEqual(Float32Array.of(4));
  });
});

describe("options", () => {
  it.each<[string, () => unknown, string]>([
    [
      "a negative shift",
      () => randomShift({ pixels: -1 }),
      "randomShift: pixels is -1; it must be an integer",
    ],
    ["half a pixel", () => randomShift({ pixels: 0.5 }), "pixels is 0.5"],
    ["a shift of NaN", () => randomShift({ pixels: Number.NaN }), "pixels is NaN"],
    ["a fill of NaN", () => randomShift({ pixels: 1, fill: Number.NaN }), "randomShift: fill is NaN"],
    ["a negative padding", () => randomCrop({ padding: -2 }), "randomCrop: padding is -2"],
    [
      "an unknown mode",
      () => randomCrop({ padding: 1, mode: "wrap" as "edge" }),
      'mode is "wrap"; it must be one of constant, edge, reflect',
    ],
    [
      "a mode from elsewhere",
      () => randomCrop({ padding: 1, mode: "toString" as "edge" }),
      'mode is "toString"',
    ],
    [
      "a probability above 1",
      () => randomHorizontalFlip({ probability: 1.5 }),
      "probability is 1.5; it must be a finite number, at least 0 and at most 1",
    ],
    ["a negative angle", () => randomRotation({ degrees: -1 }), "degrees is -1"],
    ["an angle beyond a half turn", () => randomRotation({ degrees: 181 }), "at most 180"],
    [
      "a reflection beyond the image",
      () => apply(randomCrop({ padding: 4, mode: "reflect" }), 0),
      "smaller than the image's 4 x 5",
    ],
  ])("refuse %s", (_, make, message) => {
    expect(make).toThrow(OptionError);
    expect(make).toThrow(message);
  });
});
