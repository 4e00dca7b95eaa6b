import type { Canvas, Shader } from "./canvas.js";
import { type ImagePlanes, imageShader, imageSize } from "./image.js";

/** A square of the canvas, in logical pixels. */
export interface Tile {
  readonly x: number;
  readonly y: number;
  readonly size: number;
}

/** The image, fitted into a square, with a layer such as a heat map over it. Small images keep their pixels. */
export function drawImage(
  canvas: Canvas,
  image: ImagePlanes,
  { x, y, size }: Tile,
  layer?: (columns: number, rows: number) => Shader,
): void {
  canvas.rect(x, y, size, size, [0, 0, 0]);
  const [height, width] = imageSize(image);
  const fit = (size * canvas.density) / Math.max(height, width);
  const pixelated = fit >= 3;
  const zoom = (pixelated ? Math.floor(fit) : fit) / canvas.density;
  const [shownWidth, shownHeight] = [width * zoom, height * zoom];
  const [left, top] = [x + (size - shownWidth) / 2, y + (size - shownHeight) / 2];
  canvas.pixels(left, top, shownWidth, shownHeight, imageShader(image, pixelated ? "nearest" : "bilinear"));
  if (layer) canvas.pixels(left, top, shownWidth, shownHeight, layer);
}
