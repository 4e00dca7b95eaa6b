/** A closed polygon as x, y pairs in pixels; y points down. The last point joins the first. */
export type Polygon = readonly number[];

/** Coverage in 0..1 of the pixels of a rectangle. */
export interface Coverage {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

/**
 * Exact area coverage of a shape made of closed polygons, clipped to `width` x `height` pixels. Each edge adds its signed
 * area to the pixels it crosses and a running sum along the row fills to the right, as in font rasterisers
 * (R. Levien, font-rs). Holes run against their outline; outlines that overlap must run the same way.
 */
export function coverage(polygons: readonly Polygon[], width: number, height: number): Coverage | null {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const polygon of polygons) {
    for (let i = 0; i + 1 < polygon.length; i += 2) {
      left = Math.min(left, polygon[i]!);
      right = Math.max(right, polygon[i]!);
      top = Math.min(top, polygon[i + 1]!);
      bottom = Math.max(bottom, polygon[i + 1]!);
    }
  }
  const [x0, y0] = [Math.max(0, Math.floor(left)), Math.max(0, Math.floor(top))];
  const [x1, y1] = [Math.min(width, Math.ceil(right)), Math.min(height, Math.ceil(bottom))];
  if (!(x1 > x0 && y1 > y0)) return null;

  const [columns, rows] = [x1 - x0, y1 - y0];
  // Two spare columns take what lies right of the clip.
  const stride = columns + 2;
  const sums = new Float32Array(stride * rows);
  for (const polygon of polygons) {
    for (let i = 0; i + 1 < polygon.length; i += 2) {
      const next = (i + 2) % polygon.length;
      addEdge(
        sums,
        columns,
        rows,
        polygon[i]! - x0,
        polygon[i + 1]! - y0,
        polygon[next]! - x0,
        polygon[next + 1]! - y0,
      );
    }
  }
  const values = new Float32Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    let sum = 0;
    for (let column = 0; column < columns; column++) {
      sum += sums[row * stride + column]!;
      values[row * columns + column] = Math.min(Math.abs(sum), 1);
    }
  }
  return { x: x0, y: y0, width: columns, height: rows, values };
}

function addEdge(
  sums: Float32Array,
  columns: number,
  rows: number,
  ax: number,
  ay: number,
  bx: number,
  by: number,
): void {
  if (ay === by) return;
  const direction = ay < by ? 1 : -1;
  const [topX, topY, bottomX, bottomY] = ay < by ? [ax, ay, bx, by] : [bx, by, ax, ay];
  const slope = (bottomX - topX) / (bottomY - topY);
  const clamp = (x: number) => Math.min(Math.max(x, 0), columns);
  const end = Math.min(rows, Math.ceil(bottomY));
  for (let row = Math.max(0, Math.floor(topY)); row < end; row++) {
    const from = Math.max(row, topY);
    const to = Math.min(row + 1, bottomY);
    if (to <= from) continue;
    const fromX = clamp(topX + (from - topY) * slope);
    const toX = clamp(topX + (to - topY) * slope);
    addSpan(sums, row * (columns + 2), direction * (to - from), Math.min(fromX, toX), Math.max(fromX, toX));
  }
}

/** Adds an edge of signed height `area` that runs from `x0` to `x1` within one row that starts at `base`. */
function addSpan(sums: Float32Array, base: number, area: number, x0: number, x1: number): void {
  const first = Math.floor(x0);
  const last = Math.max(first + 1, Math.ceil(x1));
  let covered = 0;
  for (let column = first; column < last; column++) {
    // Mean over the edge of how much of this pixel lies to its right.
    const share = x1 > x0 ? rightShare(column, x0, x1) : column + 1 - x0;
    sums[base + column]! += area * (share - covered);
    covered = share;
  }
  sums[base + last]! += area * (1 - covered);
}

/** Mean over x in x0..x1 of clamp(column + 1 - x, 0, 1). */
function rightShare(column: number, x0: number, x1: number): number {
  const full = Math.max(0, Math.min(x1, column) - x0);
  const from = Math.max(x0, column);
  const to = Math.min(x1, column + 1);
  const partial = to > from ? (to - from) * (column + 1 - (from + to) / 2) : 0;
  return (full + partial) / (x1 - x0);
}

/** A rectangle with rounded corners, clockwise on screen. */
export function roundedRectangle(
  x: number,
  y: number,
  width: number,
  height: number,
  radius: number,
): number[] {
  const r = Math.min(radius, width / 2, height / 2);
  if (!(r > 0)) return [x, y, x + width, y, x + width, y + height, x, y + height];
  const steps = Math.max(2, Math.ceil(Math.sqrt(r) * 2));
  const corners = [
    [x + width - r, y + r, -Math.PI / 2],
    [x + width - r, y + height - r, 0],
    [x + r, y + height - r, Math.PI / 2],
    [x + r, y + r, Math.PI],
  ] as const;
  return corners.flatMap(([cx, cy, start]) =>
    Array.from({ length: steps + 1 }, (_, i) => {
      const angle = start + ((Math.PI / 2) * i) / steps;
      return [cx + r * Math.cos(angle), cy + r * Math.sin(angle)];
    }).flat(),
  );
}

/** The same outline the other way round, which makes it a hole. */
export function reversed(polygon: Polygon): number[] {
  const points: number[] = [];
  for (let i = polygon.length - 2; i >= 0; i -= 2) points.push(polygon[i]!, polygon[i + 1]!);
  return points;
}

/** A straight line of a given width with flat ends. */
export function thickLine(x0: number, y0: number, x1: number, y1: number, width: number): number[] {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length === 0) return [];
  const [nx, ny] = [((y0 - y1) / length) * (width / 2), ((x1 - x0) / length) * (width / 2)];
  return [x0 + nx, y0 + ny, x1 + nx, y1 + ny, x1 - nx, y1 - ny, x0 - nx, y0 - ny];
}
