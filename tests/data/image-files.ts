import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import sharp, { type Sharp } from "sharp";

/** Pixels of a picture, [H, W, channels]: value (x, y, channel). */
export function picture(
  width: number,
  height: number,
  value: (x: number, y: number, channel: number) => number,
  channels: 1 | 2 | 3 | 4 = 3,
): Sharp {
  const data = Uint8Array.from({ length: width * height * channels }, (_, k) => {
    const pixel = Math.floor(k / channels);
    return value(pixel % width, Math.floor(pixel / width), k % channels);
  });
  return sharp(data, { raw: { width, height, channels } });
}

/** A picture that becomes brighter to the right (red) and downwards (green). */
export function slope(width: number, height: number): Sharp {
  return picture(width, height, (x, y, channel) => {
    if (channel === 0) return Math.round((255 * x) / Math.max(width - 1, 1));
    return channel === 1 ? Math.round((255 * y) / Math.max(height - 1, 1)) : 128;
  });
}

/** Writes files below a folder. */
export async function writeTree(
  root: string,
  files: Readonly<Record<string, Uint8Array | string>>,
): Promise<void> {
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), bytes);
  }
}
