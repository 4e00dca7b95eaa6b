import { Canvas, colormap, heatShader } from "fovea";
import type { Reading } from "./network.js";

/** Lays where the network looked over the drawing. */
export function drawHeat(canvas: HTMLCanvasElement, drawing: CanvasImageSource, heat: Reading["heat"]): void {
  const { width, height } = canvas;
  const overlay = new Canvas(width, height);
  const options = { map: "inferno", opacity: [0.15, 0.75], interpolation: "cubic" } as const;
  overlay.pixels(0, 0, width, height, heatShader({ data: heat.data, shape: heat.shape }, options));
  const layer = document.createElement("canvas");
  layer.width = width;
  layer.height = height;
  layer.getContext("2d")!.putImageData(new ImageData(overlay.data, width, height), 0, 0);
  const context = canvas.getContext("2d")!;
  context.drawImage(drawing, 0, 0, width, height);
  context.drawImage(layer, 0, 0);
}

/** Empties a canvas. */
export function clearCanvas(canvas: HTMLCanvasElement): void {
  canvas.getContext("2d")!.clearRect(0, 0, canvas.width, canvas.height);
}

/** A row of cells, one for each channel's gate. */
export function drawGates(canvas: HTMLCanvasElement, gates: Float32Array): void {
  const color = colormap("viridis");
  canvas.width = gates.length;
  canvas.height = 1;
  const pixels = new Uint8ClampedArray(4 * gates.length).fill(255);
  for (const [channel, gate] of gates.entries()) pixels.set(color(gate), 4 * channel);
  canvas.getContext("2d")!.putImageData(new ImageData(pixels, gates.length, 1), 0, 0);
}
