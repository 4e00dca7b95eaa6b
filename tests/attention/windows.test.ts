import { describe, expect, it } from "vitest";
import { windowTiles } from "../../src/attention/windows.js";

describe.each([
  { height: 5, width: 6, k: 3 },
  { height: 17, width: 9, k: 5 },
  { height: 1, width: 25, k: 7 },
  { height: 8, width: 16, k: 1 },
])("tiles of $height x $width pixels for windows of $k", ({ height, width, k }) => {
  const tiles = windowTiles([height, width], k);
  const { count, queryCount, keyCount } = tiles;

  it("hold every position once where it is looked up", () => {
    expect(tiles.places.map((place) => tiles.queries[place])).toEqual([...Array(height * width).keys()]);
  });

  it("have the sizes that they say", () => {
    expect(tiles.queries).toHaveLength(count * queryCount);
    expect(tiles.keys).toHaveLength(count * keyCount);
    expect([queryCount, keyCount]).toEqual(
      [tiles.tile, tiles.reach].map(([rows, columns]) => rows * columns),
    );
    expect(tiles.reach).toEqual(tiles.tile.map((length) => length + k - 1));
  });

  it("have the pixels of each position's window as keys, row by row", () => {
    for (const [position, place] of tiles.places.entries()) {
      const [row, column] = [Math.floor(position / width), position % width];
      const [tile, query] = [Math.floor(place / queryCount), place % queryCount];
      const found = tiles.windows
        .slice(query * k * k, (query + 1) * k * k)
        .map((index) => tiles.keys[tile * keyCount + index - query * keyCount]);
      const expected = Array.from({ length: k * k }, (_, element) => {
        const [i, j] = [row + Math.floor(element / k) - (k - 1) / 2, column + (element % k) - (k - 1) / 2];
        return i >= 0 && i < height && j >= 0 && j < width ? i * width + j : -1;
      });
      expect(found).toEqual(expected);
    }
  });
});
