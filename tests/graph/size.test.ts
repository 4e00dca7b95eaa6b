import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { input } from "../../src/graph/leaf.js";
import {
  BatchSize,
  batch,
  broadcastShapes,
  concreteShape,
  divideSizes,
  formatShape,
  multiplySizes,
  normalizeAxes,
  normalizeAxis,
  type Shape,
  sizeOf,
} from "../../src/graph/size.js";
import { sumTo } from "../../src/ops/reduce.js";
import { reshape } from "../../src/ops/shape.js";
import { evaluate, floats, numbers } from "../ops/evaluate.js";

const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 });

/** A shape and an operand's shape that stretches to it: leading axes left out, others at 1. */
const stretched = sizes.chain((shape) =>
  fc
    .record({
      drop: fc.integer({ min: 0, max: shape.length }),
      ones: fc.array(fc.boolean(), { minLength: shape.length, maxLength: shape.length }),
    })
    .map(({ drop, ones }) => ({
      shape,
      operand: shape.map((size, axis) => (ones[axis] ? 1 : size)).slice(drop),
    })),
);

describe("broadcasting", () => {
  it("stretches an operand to the shape, in any order of operands", () => {
    fc.assert(
      fc.property(stretched, stretched, ({ shape, operand }, other) => {
        expect(broadcastShapes(shape, operand)).toEqual(shape);
        expect(broadcastShapes(operand, shape, operand)).toEqual(shape);
        expect(broadcastShapes(shape)).toEqual(shape);
        const both = () => broadcastShapes(shape, other.shape);
        let found: Shape | undefined;
        try {
          found = both();
        } catch (error) {
          expect(error).toBeInstanceOf(ShapeError);
        }
        if (!found) {
          expect(() => broadcastShapes(other.shape, shape)).toThrow(ShapeError);
          return;
        }
        expect(broadcastShapes(other.shape, shape)).toEqual(found);
        // Idempotent: it stretches to itself with either operand.
        expect(broadcastShapes(found, shape, other.shape)).toEqual(found);
      }),
    );
  });

  it("names the axis and the sizes that do not fit", () => {
    expect(() => broadcastShapes([2, 3], [2, 4])).toThrow("axis 1 is 3 and 4; sizes must be equal or 1");
    expect(() => broadcastShapes([batch, 3], [2, 3])).toThrow("axis 0 is batch and 2");
    expect(() => broadcastShapes([batch], [BatchSize.of(2)])).toThrow("axis 0 is batch and 2*batch");
    expect(broadcastShapes([batch, 1], [3])).toEqual([batch, 3]);
  });
});

describe("sumTo", () => {
  it("sums over the axes that a broadcast stretched", async () => {
    await fc.assert(
      fc.asyncProperty(stretched, fc.infiniteStream(fc.boolean()), async ({ shape, operand }, lazy) => {
        // Axes of the cotangent that are still to be stretched.
        const cotangent = shape.map((size) => (lazy.next().value ? 1 : size));
        const values = Array.from({ length: cotangent.reduce((a, b) => a * b, 1) }, (_, index) => index + 1);
        const { y } = await evaluate([floats(cotangent, values)], (dy) => ({ y: sumTo(dy, shape, operand) }));
        const lead = shape.length - operand.length;
        const expected = new Map<string, number>();
        visit(shape, (position) => {
          const at = position.slice(lead).map((index, axis) => (operand[axis] === 1 ? 0 : index));
          const from = position.map((index, axis) => (cotangent[axis] === 1 ? 0 : index));
          const offset = from.reduce((sum, index, axis) => sum * cotangent[axis]! + index, 0);
          expected.set(at.join(), (expected.get(at.join()) ?? 0) + values[offset]!);
        });
        // Axes that were not summed may be left at 1.
        const sums: number[] = [];
        visit(y!.shape, (position) => sums.push(expected.get(position.join())!));
        expect(y!.shape.length).toBe(operand.length);
        expect(y!.shape.every((size, axis) => size === 1 || size === operand[axis])).toBe(true);
        expect(numbers(y!)).toEqual(sums);
      }),
      { numRuns: 60 },
    );
  });
});

/** Every position of a shape, row by row. */
function visit(shape: readonly number[], body: (position: readonly number[]) => void): void {
  const walk = (position: readonly number[]) => {
    const size = shape[position.length];
    if (size === undefined) body(position);
    else for (let index = 0; index < size; index++) walk([...position, index]);
  };
  walk([]);
}

describe("reshape", () => {
  /** A shape and another of as many elements. */
  const regrouped = fc.tuple(sizes, fc.array(fc.boolean(), { maxLength: 8 })).map(([shape, joins]) => {
    const groups: number[] = [];
    shape.forEach((size, axis) => {
      if (joins[axis] && groups.length > 0) groups[groups.length - 1]! *= size;
      else groups.push(size);
    });
    return { shape, groups };
  });

  it("finds the size that is left open, wherever it stands", () => {
    fc.assert(
      fc.property(regrouped, fc.nat(), ({ shape, groups }, seed) => {
        const x = input("x", shape);
        expect(reshape(x, { shape: groups }).shape).toEqual(groups);
        if (groups.length === 0) return;
        const open = groups.with(seed % groups.length, -1);
        expect(reshape(x, { shape: open }).shape).toEqual(groups);
      }),
    );
  });

  it("keeps the batch a whole number of rows, whatever is in front of it and behind", () => {
    fc.assert(
      fc.property(sizes, sizes, fc.nat({ max: 3 }), (before, after, cut) => {
        const x = input("x", [...before, batch, ...after]);
        const rows = before.reduce((a, b) => a * b, 1);
        const flat = after.reduce((a, b) => a * b, 1);
        expect(reshape(x, { shape: [rows, -1] }).shape).toEqual([rows, BatchSize.of(flat)]);
        expect(reshape(x, { shape: [rows, batch, -1] }).shape).toEqual([rows, batch, flat]);
        expect(reshape(reshape(x, { shape: [rows, -1] }), { shape: x.shape }).shape).toEqual(x.shape);
        // As many elements, but rows of the batch would be torn apart.
        const factor = cut + 2;
        const wide = input("wide", [batch, factor * flat]);
        expect(() => reshape(wide, { shape: [factor, -1] })).toThrow(/would mix samples of the batch/);
      }),
    );
  });

  it.each([
    [[2, 3], [4, -1], "6 elements cannot fill [4, -1]"],
    [[2, 3], [4], "6 elements cannot fill [4]"],
    [[2, 3], [-1, -1], "only one size can be -1"],
    [[2, 3], [0, 6], "sizes must be integers >= 1, or one -1; found 0"],
    [[2, 3], [-2, 3], "sizes must be integers >= 1, or one -1; found -2"],
    [[2, 3], [1.5, 4], "sizes must be integers >= 1, or one -1; found 1.5"],
    [[2, 3], [Number.NaN], "sizes must be integers >= 1, or one -1; found NaN"],
    [[batch, 6], [3, -1], "from [batch, 6] to [3, 2*batch] would mix samples of the batch"],
    [[batch, 6], [-1, 4], "6*batch elements cannot fill [-1, 4]"],
    [[batch, 6], [12], "6*batch elements cannot fill [12]"],
    [[6], [batch, -1], "6 elements cannot fill [batch, -1]"],
  ] as [Shape, Shape, string][])("from %s to %s is refused", (from, to, message) => {
    expect(() => reshape(input("x", from), { shape: to })).toThrow(
      `reshape(${formatShape(from)}, { shape: [${to.join(", ")}] }): ${message}`,
    );
  });
});

describe("sizes", () => {
  it("of equal factors are one object, and have a product with numbers only", () => {
    expect(BatchSize.of(1)).toBe(batch);
    expect(multiplySizes(multiplySizes(2, batch), 3)).toBe(BatchSize.of(6));
    expect(sizeOf([2, batch, 3])).toBe(BatchSize.of(6));
    expect(sizeOf([])).toBe(1);
    expect(() => multiplySizes(batch, batch)).toThrow(ShapeError);
    expect(() => BatchSize.of(0)).toThrow("factor of a batch size: expected an integer >= 1, found 0");
    expect(() => BatchSize.of(1.5)).toThrow(ShapeError);
    expect([`${batch}`, `${BatchSize.of(3)}`]).toEqual(["batch", "3*batch"]);
  });

  it("divide where the result is whole", () => {
    expect(divideSizes(12, 4)).toBe(3);
    expect(divideSizes(12, 5)).toBeUndefined();
    expect(divideSizes(BatchSize.of(6), 3)).toBe(BatchSize.of(2));
    expect(divideSizes(BatchSize.of(6), BatchSize.of(2))).toBe(3);
    expect(divideSizes(BatchSize.of(6), 4)).toBeUndefined();
    expect(divideSizes(6, batch)).toBeUndefined();
    expect(divideSizes(BatchSize.of(2), BatchSize.of(4))).toBeUndefined();
  });

  it("are refused where a number is needed", () => {
    expect(() => concreteShape([batch, 2])).toThrow("needs a concrete batch, found [batch, 2]");
    const x = input("x", [batch, 2]);
    expect(x.size(-1)).toBe(2);
    expect(() => x.size(0)).toThrow("size(0) of [batch, 2] needs a concrete batch, found batch");
    expect(() => x.size(2)).toThrow("axis 2 is out of range for rank 2");
  });

  it("of a tensor are integers from 1, one of them symbolic at most", () => {
    for (const size of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => input("x", [2, size])).toThrow(
        new ShapeError(`input x: sizes must be integers >= 1, found [2, ${size}]`),
      );
    }
    expect(() => input("x", [batch, batch])).toThrow(
      "input x: a tensor can have one symbolic size, found [batch, batch]",
    );
  });
});

describe("axes", () => {
  it("count from either end", () => {
    expect([normalizeAxis(-1, 3), normalizeAxis(0, 3)]).toEqual([2, 0]);
    expect(normalizeAxes([-1, 0], 3)).toEqual([0, 2]);
    expect(normalizeAxes(undefined, 2)).toEqual([0, 1]);
    expect(() => normalizeAxes([0, -2], 2)).toThrow("axis 0 is named twice");
    for (const axis of [2, -3, 0.5, Number.NaN]) {
      expect(() => normalizeAxis(axis, 2)).toThrow(`axis ${axis} is out of range for rank 2`);
    }
  });
});
