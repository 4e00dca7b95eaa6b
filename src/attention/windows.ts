/** Numbers of rows and columns. */
type Extent = readonly [rows: number, columns: number];

/**
 * Positions whose windows lie close together share their keys: an image cut into tiles, each with the pixels that the k x k windows of its
 * positions reach. Indices for `take`; positions are counted row by row.
 */
export interface WindowTiles {
  /** Numbers of tiles, and of queries and keys of each. */
  readonly count: number;
  readonly queryCount: number;
  readonly keyCount: number;
  /** Rows and columns of a tile. */
  readonly tile: Extent;
  /** Rows and columns of what its windows reach. */
  readonly reach: Extent;
  /** The position of each query of each tile; the last row and column again for those beyond the border. */
  readonly queries: readonly number[];
  /** The position of each key of each tile, -1 outside of the image. */
  readonly keys: readonly number[];
  /** Where each position is among the queries. */
  readonly places: readonly number[];
  /** Of each query of a tile the key that is each of the k * k elements of its window: query * keys + key. */
  readonly windows: readonly number[];
}

/** Side of a tile at most. Larger ones compute more products that are not used, smaller ones copy more keys. */
const longestSide = 8;

/** Tiles of an image for windows of k x k pixels around each position. */
export function windowTiles([height, width]: Extent, k: number): WindowTiles {
  const counts = [height, width].map((length) => Math.ceil(length / longestSide));
  const tile = [height, width].map((length, axis) => Math.ceil(length / counts[axis]!)) as [number, number];
  const reach: Extent = [tile[0] + k - 1, tile[1] + k - 1];
  const border = (k - 1) / 2;
  const tiles = grid([counts[0]!, counts[1]!]).map(
    ([row, column]) => [row * tile[0], column * tile[1]] as const,
  );
  const queries = tiles.flatMap(([top, left]) =>
    grid(tile).map(([i, j]) => Math.min(top + i, height - 1) * width + Math.min(left + j, width - 1)),
  );
  const keys = tiles.flatMap(([top, left]) =>
    grid(reach).map(([a, b]) => {
      const [row, column] = [top + a - border, left + b - border];
      return row >= 0 && row < height && column >= 0 && column < width ? row * width + column : -1;
    }),
  );
  const places = grid([height, width]).map(([row, column]) => {
    const [down, right] = [Math.floor(row / tile[0]), Math.floor(column / tile[1])];
    const index = (row - down * tile[0]) * tile[1] + column - right * tile[1];
    return (down * counts[1]! + right) * tile[0] * tile[1] + index;
  });
  const windows = grid(tile).flatMap(([i, j], query) =>
    grid([k, k]).map(([a, b]) => query * reach[0] * reach[1] + (i + a) * reach[1] + j + b),
  );
  const [queryCount, keyCount] = [tile[0] * tile[1], reach[0] * reach[1]];
  return { count: tiles.length, queryCount, keyCount, tile, reach, queries, keys, places, windows };
}

/** Rows and columns of all places, row by row. */
export function grid([rows, columns]: Extent): Extent[] {
  return Array.from({ length: rows * columns }, (_, index) => [Math.floor(index / columns), index % columns]);
}
