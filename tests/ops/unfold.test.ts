import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { input } from "../../src/graph/leaf.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Trace, withTrace } from "../../src/graph/trace.js";
import { concat, conv, convPerSample, reshape, slice, unfold } from "../../src/ops/index.js";
import { evaluate, floats, numbers, relativeError } from "./evaluate.js";
import { agrees, directionalDerivatives } from "./finite-differences.js";
import { sampleValues } from "./sample-values.js";

function normal(...shapes: number[][]) {
  return sampleValues(
    shapes.map((shape) => ({ shape })),
    "smooth",
    "unfold",
  );
}

const windows = [
  { kernel: [3, 2] },
  { kernel: [3, 3], padding: 1 },
  { kernel: [2, 3], stride: [2, 1], padding: [1, 0, 0, 2], dilation: [1, 2] },
  { kernel: [1, 1], stride: 3 },
];

describe("unfold", () => {
  it.each(windows)("has the elements under each window: %o", async (window) => {
    const [height, width] = [5, 6];
    const [x] = normal([2, 2, height, width]);
    const y = (await evaluate([x!], (leaf) => ({ y: unfold(leaf, window) }))).y!;
    const perAxis = (value: number | number[] | undefined, fallback: number) =>
      Array.isArray(value) ? value : [value ?? fallback, value ?? fallback];
    const [stride, dilation] = [perAxis(window.stride, 1), perAxis(window.dilation, 1)];
    const padding = perAxis(window.padding, 0);
    const [n, c, rows, columns, outHeight, outWidth] = y.shape as [
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    expect([n, c, rows, columns]).toEqual([2, 2, ...window.kernel]);
    const values = numbers(y);
    const source = numbers(x!);
    values.forEach((value, index) => {
      const j = index % outWidth;
      const i = Math.floor(index / outWidth) % outHeight;
      const b = Math.floor(index / (outWidth * outHeight)) % columns;
      const a = Math.floor(index / (outWidth * outHeight * columns)) % rows;
      const plane = Math.floor(index / (outWidth * outHeight * columns * rows));
      const [row, column] = [
        i * stride[0]! + a * dilation[0]! - padding[0]!,
        j * stride[1]! + b * dilation[1]! - padding[1]!,
      ];
      const inside = row >= 0 && row < height && column >= 0 && column < width;
      expect(value).toBe(inside ? source[(plane * height + row) * width + column] : 0);
    });
  });

  it("takes one and three spatial axes, and a symbolic batch", async () => {
    const { line } = await evaluate([floats([1, 1, 4], [1, 2, 3, 4])], (x) => ({
      line: unfold(x, { kernel: [2] }),
    }));
    expect(line!.shape).toEqual([1, 1, 2, 3]);
    expect(numbers(line!)).toEqual([1, 2, 3, 2, 3, 4]);
    const video = input("x", [batch, 2, 3, 4, 5]);
    expect(unfold(video, { kernel: [1, 2, 3], padding: 1 }).shape).toEqual([batch, 2, 1, 2, 3, 5, 5, 5]);
  });

  it("refuses a window that does not fit", () => {
    expect(() => unfold(input("x", [1, 2, 3, 3]), { kernel: [4, 1] })).toThrow(ShapeError);
    expect(() => unfold(input("x", [1, 2]), { kernel: [] })).toThrow("must be [N, C, ...]");
  });
});

describe("convolution per sample", () => {
  /** The form that is used in training: a product over unfolded windows. */
  const inTraining = <T>(body: () => T) => withTrace(new Trace({ training: true, paths: new Map() }), body);

  const cases = [
    { window: { kernel: [3, 3], padding: 1 }, groups: 1, bias: true },
    { window: { kernel: [2, 3], stride: 2, padding: [1, 0, 0, 2] }, groups: 2, bias: true },
    { window: { kernel: [3, 3], dilation: 2, padding: 2 }, groups: 4, bias: false },
  ];

  it.each(cases)(
    "is a convolution of each sample with its own filters: %o",
    async ({ window, groups, bias }) => {
      const [area, shape] = [window.kernel[0]! * window.kernel[1]!, [4, 4 / groups, ...window.kernel]];
      const values = normal([3, 4, 5, 6], [3, 4, (4 / groups) * area], [3, 4]);
      const { together, unfolded, apart } = await evaluate(values, (x, weight, offset) => {
        const sample = (t: Tensor, n: number) => slice(t, { axes: [0], starts: [n], ends: [n + 1] });
        const each = [0, 1, 2].map((n) =>
          conv(
            sample(x, n),
            reshape(sample(weight, n), { shape }),
            bias ? reshape(sample(offset, n), { shape: [4] }) : undefined,
            { ...window, groups },
          ),
        );
        const together = () => convPerSample(x, weight, bias ? offset : undefined, { ...window, groups });
        return { together: together(), unfolded: inTraining(together), apart: concat(each, { axis: 0 }) };
      });
      expect(relativeError(together!, apart!)).toBeLessThan(1e-6);
      expect(relativeError(unfolded!, apart!)).toBeLessThan(1e-6);
    },
  );

  it("has the right gradients", async () => {
    const values = normal([2, 4, 4, 3], [2, 2, 18], [2, 2]);
    const body = ([x, weight, bias]: readonly Tensor[]) => [
      convPerSample(x!, weight!, bias!, { kernel: [3, 3], padding: 1, stride: 2, groups: 2 }),
    ];
    const derivatives = [
      ...(await directionalDerivatives(body, values)),
      ...(await directionalDerivatives((inputs) => inTraining(() => body(inputs)), values)),
    ];
    expect(derivatives.length).toBe(6);
    expect(derivatives.filter((derivative) => !agrees(derivative))).toEqual([]);
  });

  it("takes a batch that is not known", async () => {
    const [x, weight] = [input("x", [batch, 4, 5, 6]), input("w", [batch, 2, 36])];
    expect(convPerSample(x, weight, undefined, { kernel: [3, 3] }).shape).toEqual([batch, 2, 3, 4]);
  });

  it("refuses filters and groups that do not fit", () => {
    const x = input("x", [batch, 4, 5, 5]);
    const window = { kernel: [3, 3] };
    expect(() => convPerSample(x, input("w", [batch, 2, 35]), undefined, window)).toThrow(
      "weight must be [batch, 2, 36], found [batch, 2, 35]",
    );
    expect(() => convPerSample(x, input("w", [3, 2, 36]), undefined, window)).toThrow(
      "weight must be [batch, 2, 36]",
    );
    expect(() => convPerSample(x, input("w", [batch, 2, 36]), undefined, { ...window, groups: 3 })).toThrow(
      "channels 4 and filters 2 must be divisible by groups 3",
    );
  });
});
