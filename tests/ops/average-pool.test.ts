import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { ShapeError } from "../../src/base/errors.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { input } from "../../src/graph/leaf.js";
import { averagePool } from "../../src/ops/average-pool.js";
import { gradients } from "../../src/ops/gradients.js";
import { evaluate, floats, numbers, relativeError } from "./evaluate.js";

const fixture = readSafetensors(
  readFileSync(new URL("../fixtures/pytorch/operators.safetensors", import.meta.url)),
  { source: "operators.safetensors" },
);

function reference(name: string): HostTensor {
  return toHostTensor(fixture.tensors.get(name)!, name);
}

interface PyTorchOptions {
  readonly kernelSize: number[];
  readonly stride: number;
  readonly padding: number;
  readonly ceilMode: boolean;
  readonly countIncludePad: boolean;
}

const cases = Object.entries(
  (
    JSON.parse(fixture.metadata.operators!) as {
      cases: Record<string, { operator: string; options: PyTorchOptions }>;
    }
  ).cases,
).filter(([, { operator }]) => operator === "avgPool2d");

describe("averagePool", () => {
  it("is compared with every case of PyTorch", () => expect(cases.length).toBe(4));

  it.each(cases)("gives PyTorch's values and gradient for %s", async (name, { options }) => {
    const { kernelSize: kernel, ...window } = options;
    const values = [reference(`${name}.input.0`), reference(`${name}.cotangent`)];
    const { y, dx } = (await evaluate(values, (x, dy) => {
      const pooled = averagePool(x!, { kernel, ...window });
      return { y: pooled, dx: gradients(pooled, [x!], { cotangent: dy! })[0]! };
    })) as { y: HostTensor; dx: HostTensor };
    expect(relativeError(y, reference(`${name}.output`))).toBeLessThan(1e-6);
    expect(relativeError(dx, reference(`${name}.gradInput.0`))).toBeLessThan(1e-6);
  });

  it("averages by PyTorch's rules for any window", async () => {
    const windows = fc
      .record({
        size: fc.integer({ min: 1, max: 9 }),
        kernel: fc.integer({ min: 1, max: 5 }),
        stride: fc.integer({ min: 1, max: 6 }),
        half: fc.double({ min: 0, max: 1, noNaN: true }),
        ceilMode: fc.boolean(),
        countIncludePad: fc.boolean(),
      })
      .map(({ half, ...rest }) => ({ ...rest, padding: Math.floor((half * rest.kernel) / 2) }))
      .filter(({ size, kernel, padding }) => size + 2 * padding >= kernel);
    await fc.assert(
      fc.asyncProperty(windows, async ({ size, kernel, ...window }) => {
        const line = Array.from({ length: size }, (_, index) => (index * index) % 7);
        const { y } = await evaluate([floats([1, 1, size], line)], (x) => ({
          y: averagePool(x!, { kernel: [kernel], ...window }),
        }));
        const expected = means(line, { kernel, ...window });
        expect(y!.shape).toEqual([1, 1, expected.length]);
        numbers(y!).forEach((value, index) => {
          expect(value).toBeCloseTo(expected[index]!, 5);
        });
      }),
      { numRuns: 60 },
    );
  });

  it("lays windows side by side by default", () => {
    const x = input("x", [2, 3, 9, 10]);
    expect(averagePool(x, { kernel: [4, 3] }).shape).toEqual([2, 3, 2, 3]);
  });

  it("refuses windows that PyTorch refuses", () => {
    const x = input("x", [1, 1, 4, 4]);
    for (const attributes of [
      { kernel: [5, 5] },
      { kernel: [3] },
      { kernel: [3, 3], padding: 2 },
      { kernel: [0, 1] },
      { kernel: [2, 2], stride: 0 },
      { kernel: [2, 2], padding: -1 },
    ]) {
      expect(() => averagePool(x, attributes)).toThrow(ShapeError);
    }
  });
});

/** Means of the windows over a line, as PyTorch's documentation of AvgPool1d states them. */
function means(
  line: readonly number[],
  options: { kernel: number; stride: number; padding: number; ceilMode: boolean; countIncludePad: boolean },
): number[] {
  const { kernel, stride, padding, ceilMode, countIncludePad } = options;
  const room = line.length + 2 * padding - kernel;
  const result: number[] = [];
  for (let start = -padding; ; start += stride) {
    const whole = start + padding <= room;
    const cut = ceilMode && start + padding < room + stride && start < line.length;
    if (!whole && !cut) return result;
    const inside = line.slice(Math.max(start, 0), Math.max(start + kernel, 0));
    const total = inside.reduce((sum, value) => sum + value, 0);
    result.push(
      total / (countIncludePad ? Math.min(start + kernel, line.length + padding) - start : inside.length),
    );
  }
}
