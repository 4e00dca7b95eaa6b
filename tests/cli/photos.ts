import { mkdirSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";

/** Colour of each class; images are blocks of it under noise. */
const colours = { clay: [190, 90, 50], grass: [70, 160, 60], sea: [40, 90, 180] } as const;

/** A folder ROOT/CLASS/IMAGE of small photographs of three kinds, in several formats. */
export async function writePhotos(root: string, perClass: number): Promise<void> {
  for (const [name, colour] of Object.entries(colours)) {
    mkdirSync(join(root, name), { recursive: true });
    for (let index = 0; index < perClass; index++) {
      const [width, height] = [44 + (index % 3) * 8, 40 + (index % 2) * 12];
      const data = Buffer.alloc(width * height * 3);
      for (let at = 0; at < data.length; at++) {
        const noise = ((at * 7919 + index * 104_729) % 61) - 30;
        data[at] = Math.min(255, Math.max(0, colour[at % 3]! + noise));
      }
      const format = (["jpg", "png", "webp"] as const)[index % 3]!;
      await sharp(data, { raw: { width, height, channels: 3 } }).toFile(
        join(root, name, `${index}.${format}`),
      );
    }
  }
}
