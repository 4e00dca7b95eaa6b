import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  colorJitter,
} from "../../src/data/color-jitter.js";

/** Four pixels in three planes. */
const image = [0.1, 0.9, 0.4, 0.4, 0.8, 0.2, 0.5, 0.4, 0.3, 0.65, 1, 0];

describe("changes of colour against torchvision's", () => {
  type Change = (values: Float32Array) => void;
  it.each<[string, Change, number[]]>([
    [
      "brightness",
      (values) => adjustBrightness(values, 1.4),
      [0.14, 1, 0.56, 0.56, 1, 0.28, 0.7, 0.56, 0.42, 0.91, 1, 0],
    ],
    [
      "less contrast",
      (values) => adjustContrast(values, 3, 0.6),
      [
        0.247562, 0.727562, 0.427562, 0.427562, 0.667562, 0.307562, 0.487562, 0.427562, 0.367562, 0.577562,
        0.787562, 0.187562,
      ],
    ],
    [
      "more contrast",
      (values) => adjustContrast(values, 3, 1.7),
      [0, 1, 0.351766, 0.351766, 1, 0.011766, 0.521767, 0.351766, 0.181767, 0.776767, 1, 0],
    ],
    [
      "less saturation",
      (values) => adjustSaturation(values, 3, 0.3),
      [
        0.403583, 0.592357, 0.488942, 0.368052, 0.613583, 0.382357, 0.518942, 0.368052, 0.463583, 0.517357,
        0.668942, 0.248052,
      ],
    ],
    [
      "more saturation",
      (values) => adjustSaturation(values, 3, 1.8),
      [0, 1, 0.298352, 0.436512, 1, 0, 0.478352, 0.436512, 0.113048, 0.801592, 1, 0],
    ],
    [
      "hue by -0.4",
      (values) => adjustHue(values, 3, -0.4),
      [0.8, 0.2, 0.74, 0.24, 0.1, 0.9, 1, 0, 0.18, 0.87, 0.4, 0.4],
    ],
    [
      "hue by -0.1",
      (values) => adjustHue(values, 3, -0.1),
      [0.32, 0.73, 0.4, 0.4, 0.8, 0.2, 0.86, 0.16, 0.1, 0.9, 1, 0],
    ],
    [
      "hue by 0.15",
      (values) => adjustHue(values, 3, 0.15),
      [0.1, 0.9, 0.84, 0.04, 0.67, 0.38, 0.4, 0.4, 0.8, 0.2, 1, 0],
    ],
    [
      "hue by a half",
      (values) => adjustHue(values, 3, 0.5),
      [0.8, 0.2, 1, 0, 0.1, 0.9, 0.9, 0, 0.6, 0.45, 0.4, 0.4],
    ],
  ])("%s", (_, change, expected) => {
    const values = Float32Array.from(image);
    change(values);
    values.forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 5);
    });
  });
});

describe("colorJitter", () => {
  const jitter = colorJitter({ brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 });

  function apply(step: number, source: Float32Array, channels = 3, augmentation = jitter): Float32Array {
    const target = new Float32Array(source.length).fill(Number.NaN);
    const shape = [channels, 2, source.length / channels / 2] as const;
    augmentation.apply(source, target, shape, { seed: 1, stream: "augment", step });
    return target;
  }

  it("keeps values in range, is drawn from the key alone, and leaves its source", () => {
    fc.assert(
      fc.property(
        fc.array(fc.float({ min: 0, max: 1, noNaN: true }), { minLength: 12, maxLength: 12 }),
        fc.nat(1000),
        (values, step) => {
          const source = Float32Array.from(values);
          const first = apply(step, source);
          expect(source).toEqual(Float32Array.from(values));
          expect(first.every((value) => value >= 0 && value <= 1)).toBe(true);
          expect(apply(step, source)).toEqual(first);
        },
      ),
    );
    const source = Float32Array.from(image);
    const all = Array.from({ length: 20 }, (_, step) => String(apply(step, source)));
    expect(new Set(all).size).toBe(20);
  });

  it("draws factors over their range, and changes nothing that is not asked for", () => {
    const source = new Float32Array(12).fill(0.5);
    const brightness = colorJitter({ brightness: 0.5 });
    const factors = Array.from({ length: 400 }, (_, step) => apply(step, source, 3, brightness)[0]! / 0.5);
    expect(Math.min(...factors)).toBeGreaterThanOrEqual(0.5);
    expect(Math.min(...factors)).toBeLessThan(0.52);
    expect(Math.max(...factors)).toBeLessThanOrEqual(1.5);
    expect(Math.max(...factors)).toBeGreaterThan(1.48);
    expect(apply(0, Float32Array.from(image), 3, colorJitter({}))).toEqual(Float32Array.from(image));
  });

  it("takes the changes in random order", () => {
    const source = Float32Array.from(image);
    const both = colorJitter({ brightness: 0.9, contrast: 0.9 });
    const seen = new Set<string>();
    for (let step = 0; step < 40; step++) {
      const key = { seed: 1, stream: "augment", step };
      const alone = (augmentation: ReturnType<typeof colorJitter>, from: Float32Array) => {
        const target = new Float32Array(12);
        augmentation.apply(from, target, [3, 2, 2], key);
        return target;
      };
      const [bright, contrasty] = [colorJitter({ brightness: 0.9 }), colorJitter({ contrast: 0.9 })];
      const orders = {
        brightnessFirst: alone(contrasty, alone(bright, source)),
        contrastFirst: alone(bright, alone(contrasty, source)),
      };
      const result = String(alone(both, source));
      const order = Object.entries(orders).find(([, values]) => String(values) === result);
      expect(order).toBeDefined();
      seen.add(order![0]);
    }
    expect(seen.size).toBe(2);
  });

  it("changes brightness and contrast alone of grey images, and no others", () => {
    const grey = Float32Array.of(0.1, 0.2, 0.3, 0.8);
    expect(apply(3, grey, 1, colorJitter({ saturation: 0.5, hue: 0.5 }))).toEqual(grey);
    const contrasty = apply(3, grey, 1, colorJitter({ contrast: 0.5 }));
    expect(contrasty).not.toEqual(grey);
    expect(contrasty.reduce((sum, value) => sum + value, 0)).toBeCloseTo(1.4, 5);
    expect(() => apply(0, new Float32Array(8), 2)).toThrow("images have 2 channels");
  });

  it("refuses ranges that are none", () => {
    expect(() => colorJitter({ brightness: -1 })).toThrow(OptionError);
    expect(() => colorJitter({ hue: 0.6 })).toThrow("colorJitter: hue is 0.6");
    expect(() => colorJitter({ contrast: Number.NaN })).toThrow("contrast is NaN");
  });
});
