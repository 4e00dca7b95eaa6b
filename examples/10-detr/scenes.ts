import type { Box, ImageDataset, TrainingBatch } from "fovea";

/** Side of a scene in pixels. */
export const sceneSize = 64;
/** Most digits in a scene. */
export const maxDigits = 3;
const digitSize = 28;

/** Digits on a dark, noisy ground. */
export interface Scene {
  /** [1, sceneSize, sceneSize], values in 0..1. */
  readonly pixels: Float32Array;
  readonly labels: readonly number[];
  /** Parts of the scene. */
  readonly boxes: readonly Box[];
}

/** Numbers from 0 to below 1, always the same for a seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Draws one to three digits of a data set at random places and sizes, which hardly touch. */
export async function drawScene(digits: ImageDataset, seed: number): Promise<Scene> {
  const draw = generator(seed);
  const pixels = Float32Array.from({ length: sceneSize ** 2 }, () => 0.15 * draw());
  const count = 1 + Math.floor(draw() * maxDigits);
  const labels: number[] = [];
  const boxes: Box[] = [];
  for (let tries = 0; labels.length < count && tries < 50; tries++) {
    const index = Math.floor(draw() * digits.length);
    const side = 16 + Math.floor(draw() * 15);
    const [left, top] = [0, 1].map(() => Math.floor(draw() * (sceneSize - side + 1))) as [number, number];
    const lit = scaled(await digits.pixels(index), side);
    const box = boxAround(lit, side, left, top);
    if (boxes.some((other) => touches(box, other))) continue;
    for (let at = 0; at < lit.length; at++) {
      const place = (top + Math.floor(at / side)) * sceneSize + left + (at % side);
      pixels[place] = Math.max(pixels[place]!, lit[at]!);
    }
    labels.push(digits.label(index));
    boxes.push(box);
  }
  return { pixels, labels, boxes };
}

/** A digit at another size, bilinear. */
function scaled(source: Uint8Array, side: number): Float32Array {
  const at = (row: number, column: number) =>
    row < digitSize && column < digitSize ? source[row * digitSize + column]! / 255 : 0;
  return Float32Array.from({ length: side * side }, (_, index) => {
    const [y, x] = [Math.floor(index / side), index % side].map((v) => (v * digitSize) / side) as [
      number,
      number,
    ];
    const [row, column] = [Math.floor(y), Math.floor(x)];
    const [down, right] = [y - row, x - column];
    const upper = at(row, column) * (1 - right) + at(row, column + 1) * right;
    const lower = at(row + 1, column) * (1 - right) + at(row + 1, column + 1) * right;
    return upper * (1 - down) + lower * down;
  });
}

/** The box of the strokes, without the margin of the image. */
function boxAround(lit: Float32Array, side: number, left: number, top: number): Box {
  let [x0, y0, x1, y1] = [side, side, 0, 0];
  for (const [index, value] of lit.entries()) {
    if (value < 0.3) continue;
    const [row, column] = [Math.floor(index / side), index % side];
    [x0, y0] = [Math.min(x0, column), Math.min(y0, row)];
    [x1, y1] = [Math.max(x1, column + 1), Math.max(y1, row + 1)];
  }
  const part = (low: number, high: number, start: number) =>
    [(start + (low + high) / 2) / sceneSize, (high - low) / sceneSize] as const;
  const [[x, width], [y, height]] = [part(x0, x1, left), part(y0, y1, top)];
  return [x, y, width, height];
}

function touches(a: Box, b: Box): boolean {
  const apart = (axis: 0 | 1, length: 2 | 3) => Math.abs(a[axis] - b[axis]) - (a[length] + b[length]) / 2;
  return Math.max(apart(0, 2), apart(1, 3)) < -2 / sceneSize;
}

/** Scenes as the tensors of a batch; the objects of each are padded to the most that a scene has. */
export function sceneBatch(scenes: readonly Scene[]): TrainingBatch {
  const count = scenes.length;
  const images = new Float32Array(count * sceneSize ** 2);
  const labels = new BigInt64Array(count * maxDigits);
  const boxes = new Float32Array(count * maxDigits * 4).fill(0.5);
  for (const [index, scene] of scenes.entries()) {
    images.set(scene.pixels, index * sceneSize ** 2);
    for (const [object, label] of scene.labels.entries()) {
      labels[index * maxDigits + object] = BigInt(label);
      boxes.set(scene.boxes[object]!, 4 * (index * maxDigits + object));
    }
  }
  const counts = BigInt64Array.from(scenes, ({ labels }) => BigInt(labels.length));
  return {
    images: { dtype: "float32", shape: [count, 1, sceneSize, sceneSize], data: images },
    targetLabels: { dtype: "int64", shape: [count, maxDigits], data: labels },
    targetBoxes: { dtype: "float32", shape: [count, maxDigits, 4], data: boxes },
    targetCounts: { dtype: "int64", shape: [count], data: counts },
  };
}
