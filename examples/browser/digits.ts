import { type MemoryDataset, parseMnist } from "fovea";

/** The digits that the page's server has: a part of MNIST. */
export interface Digits {
  readonly train: MemoryDataset;
  readonly test: MemoryDataset;
}

async function bytes(name: string): Promise<Uint8Array> {
  const response = await fetch(`./mnist/${name}`);
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function part(name: string): Promise<MemoryDataset> {
  const [images, labels] = await Promise.all([bytes(`${name}-images`), bytes(`${name}-labels`)]);
  return parseMnist(`MNIST ${name}`, { images, labels });
}

export async function loadDigits(): Promise<Digits> {
  const [train, test] = await Promise.all([part("train"), part("test")]);
  return { train, test };
}

/** Draws the first digits of a data set side by side, a pixel for a pixel. */
export function drawDigits(
  canvas: HTMLCanvasElement,
  dataset: MemoryDataset,
  columns: number,
  rows: number,
): void {
  const [, height, width] = dataset.imageShape;
  canvas.width = columns * width;
  canvas.height = rows * height;
  const context = canvas.getContext("2d")!;
  for (let index = 0; index < columns * rows; index++) {
    const picture = new ImageData(greyPixels(dataset.pixels(index)), width, height);
    context.putImageData(picture, (index % columns) * width, Math.floor(index / columns) * height);
  }
}

/** RGBA of grey values 0 to 255. */
export function greyPixels(values: Uint8Array): Uint8ClampedArray<ArrayBuffer> {
  const pixels = new Uint8ClampedArray(4 * values.length).fill(255);
  for (const [index, value] of values.entries()) pixels.fill(value, 4 * index, 4 * index + 3);
  return pixels;
}
