import { munkres } from "munkres";

/** A row and the column that it is given. */
export type Assigned = readonly [row: number, column: number];

/**
 * The one-to-one assignment of rows to columns of least total cost (Kuhn 1955, Munkres 1957): min(rows, columns) pairs, by ascending row.
 * Costs that are no finite numbers count as one more than the largest that is, so that they are taken last.
 * @param cost row by row
 */
export function minimumCostAssignment(cost: ArrayLike<number>, rows: number, columns: number): Assigned[] {
  if (rows === 0 || columns === 0) return [];
  let largest = 0;
  for (let index = 0; index < rows * columns; index++) {
    if (Number.isFinite(cost[index])) largest = Math.max(largest, Math.abs(cost[index]!));
  }
  const finite = (value: number) => (Number.isFinite(value) ? value : 2 * largest + 1);
  const matrix = Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) => finite(cost[row * columns + column]!)),
  );
  return munkres(matrix).sort(([a], [b]) => a - b);
}
