import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { minimumCostAssignment } from "../../src/attention/assignment.js";

/** Least total cost of all one-to-one assignments, by trying them all. */
function leastCost(cost: readonly number[], rows: number, columns: number): number {
  if (rows > columns) {
    const flipped = Array.from(cost, (_, at) => cost[(at % rows) * columns + Math.floor(at / rows)]!);
    return leastCost(flipped, columns, rows);
  }
  const from = (row: number, taken: number): number => {
    if (row === rows) return 0;
    let least = Number.POSITIVE_INFINITY;
    for (let column = 0; column < columns; column++) {
      if (taken & (1 << column)) continue;
      least = Math.min(least, cost[row * columns + column]! + from(row + 1, taken | (1 << column)));
    }
    return least;
  };
  return from(0, 0);
}

const sides = fc.record({ rows: fc.integer({ min: 1, max: 6 }), columns: fc.integer({ min: 1, max: 6 }) });

function matrices(values: fc.Arbitrary<number>) {
  return sides.chain(({ rows, columns }) =>
    fc
      .array(values, { minLength: rows * columns, maxLength: rows * columns })
      .map((cost) => ({ rows, columns, cost })),
  );
}

function expectAssignment(rows: number, columns: number, cost: readonly number[]): number {
  const pairs = minimumCostAssignment(cost, rows, columns);
  expect(pairs).toHaveLength(Math.min(rows, columns));
  expect(pairs.map(([row]) => row)).toEqual([...new Set(pairs.map(([row]) => row))].sort((a, b) => a - b));
  expect(new Set(pairs.map(([, column]) => column)).size).toBe(pairs.length);
  for (const [row, column] of pairs) {
    expect(row < rows && column < columns && row >= 0 && column >= 0).toBe(true);
  }
  return pairs.reduce((total, [row, column]) => total + cost[row * columns + column]!, 0);
}

describe("minimum-cost assignment", () => {
  it("beats every other assignment, of any number of rows and columns", () => {
    const values = fc.double({ min: -10, max: 10, noNaN: true });
    fc.assert(
      fc.property(matrices(values), ({ rows, columns, cost }) => {
        expect(expectAssignment(rows, columns, cost)).toBeCloseTo(leastCost(cost, rows, columns), 9);
      }),
      { numRuns: 300 },
    );
  });

  it("is exact where many costs are equal", () => {
    fc.assert(
      fc.property(matrices(fc.integer({ min: -2, max: 2 })), ({ rows, columns, cost }) => {
        expect(expectAssignment(rows, columns, cost)).toBe(leastCost(cost, rows, columns));
      }),
      { numRuns: 300 },
    );
  });

  it("ends, and assigns all that it can, whatever the costs are", () => {
    const values = fc.oneof(
      fc.double(),
      fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.MAX_VALUE),
    );
    fc.assert(
      fc.property(matrices(values), ({ rows, columns, cost }) => {
        expectAssignment(rows, columns, cost);
      }),
      { numRuns: 300 },
    );
  });

  it("takes costs that are no numbers last", () => {
    expect(minimumCostAssignment([Number.NaN, 7, 3, Number.NaN], 2, 2)).toEqual([
      [0, 1],
      [1, 0],
    ]);
  });

  it("gives nothing where there is nothing to give", () => {
    expect(minimumCostAssignment([], 3, 0)).toEqual([]);
    expect(minimumCostAssignment([], 0, 2)).toEqual([]);
  });
});
