import { gateColors, heatColors, palette } from "./attention-card.js";
import { Canvas, type Shader } from "./canvas.js";
import { colormap } from "./colormap.js";
import { type HeatMap, heatShader, type ImagePlanes, imageShader, imageSize } from "./image.js";
import { drawImage, type Tile } from "./image-tile.js";
import type { BarsView, HeatView, MapView } from "./map-view.js";
import { resizePlane } from "./resize.js";

/** Pictures of small images are enlarged to about this side. */
const leastSide = 224;
const barsSize = { width: 480, height: 160 } as const;
const opacity = [0.35, 0.85] as const;

/** Smallest and largest value. */
export function valueRange(values: Float32Array): readonly [low: number, high: number] {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Share of a signed map's values that lie within its colours: a few pixels would else make all others pale. */
const withinColors = 0.99;

/** How far from zero the colours of a signed map reach. */
function signedReach(values: Float32Array): number {
  const sizes = values.map(Math.abs).sort();
  return sizes[Math.ceil(withinColors * sizes.length) - 1]! || sizes.at(-1)!;
}

/** A heat map over the image: on its own scale from the smallest to the largest value, or around zero where it is signed. */
function overlayShader({ heat, signed }: HeatView) {
  if (signed) {
    const reach = signedReach(heat.data);
    return heatShader(heat, {
      map: "rdbu",
      signed,
      range: [-reach, reach],
      opacity: [0, 0.9],
      interpolation: "bilinear",
    });
  }
  return heatShader(heat, {
    map: heatColors,
    range: valueRange(heat.data),
    opacity,
    interpolation: "bilinear",
  });
}

/** What lies under a map: the image, without its colours where two colours of a signed map must be told apart. */
function underlay(image: ImagePlanes, view: MapView): ImagePlanes {
  const [height, width] = imageSize(image);
  if (view.form !== "heat" || !view.signed || image.shape[0] === 1) return image;
  const size = height * width;
  // Luma of ITU-R BT.601.
  const data = Float32Array.from({ length: size }, (_, at) => {
    const [red, green, blue] = [image.data[at]!, image.data[at + size]!, image.data[at + 2 * size]!];
    return 0.299 * red + 0.587 * green + 0.114 * blue;
  });
  return { data, shape: [1, height, width] };
}

/** A heat map by itself, cell by cell. */
function cellShader(heat: HeatMap) {
  return heatShader(heat, {
    map: heatColors,
    range: valueRange(heat.data),
    opacity: [1, 1],
    interpolation: "nearest",
  });
}

/** A bar for each value, from the lower end of the range upwards; neighbours are averaged where there are more than columns. */
function barsShader({ values, range = [0, 0] }: BarsView) {
  const [least, most] = valueRange(values);
  const [low, high] = [Math.min(range[0], least), Math.max(range[1], most)];
  const color = colormap(gateColors);
  return (columns: number, rows: number): Shader => {
    const shrinks = values.length > columns;
    const line = resizePlane(values, [1, values.length], [1, columns], shrinks ? "bilinear" : "nearest");
    // A gap between bars that are wide enough for it.
    const width = columns / values.length;
    const isGap = (column: number) =>
      width >= 4 && Math.floor((column + 1) / width) > Math.floor(column / width);
    return (column, row) => {
      const share = high > low ? (line[column]! - low) / (high - low) : 1;
      const filled = rows - 1 - row < Math.max(1, Math.round(share * rows));
      return filled && !isGap(column) ? color(share) : null;
    };
  };
}

/** Draws a map over the image, or by itself, into a square. */
export function drawView(canvas: Canvas, image: ImagePlanes, view: MapView, tile: Tile): void {
  const { x, y, size } = tile;
  if (view.form === "heat" && view.overImage) {
    drawImage(canvas, underlay(image, view), tile, overlayShader(view));
    return;
  }
  canvas.rect(x, y, size, size, [0, 0, 0]);
  canvas.pixels(x, y, size, size, view.form === "heat" ? cellShader(view.heat) : barsShader(view));
}

/**
 * A picture of one map: a heat map resized and blended over the image in a perceptual colour map (its own scale; blue to red around zero
 * over the grey image where it is signed), the cells of a map that does not lie in the image, or bars. Small images are enlarged by a whole factor.
 * @throws ShapeError for an image that is not [1 or 3, height, width] or values that do not fit their shape
 */
export function mapPicture(image: ImagePlanes, view: MapView): Canvas {
  if (view.form === "bars") {
    const { width, height } = barsSize;
    const canvas = new Canvas(width, height, { background: palette.page });
    canvas.pixels(0, 8, width, height - 8, barsShader(view));
    return canvas;
  }
  const [height, width] = view.overImage ? imageSize(image) : (view.heat.shape as [number, number]);
  const zoom = Math.max(1, Math.ceil(leastSide / Math.max(height, width)));
  const canvas = new Canvas(width * zoom, height * zoom, { background: palette.page });
  const [columns, rows] = [canvas.width, canvas.height];
  if (view.overImage) {
    const under = imageShader(underlay(image, view), zoom >= 3 ? "nearest" : "bilinear");
    canvas.pixels(0, 0, columns, rows, under);
    canvas.pixels(0, 0, columns, rows, overlayShader(view));
  } else {
    canvas.pixels(0, 0, columns, rows, cellShader(view.heat));
  }
  return canvas;
}
