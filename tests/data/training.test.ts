import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { colorJitter } from "../../src/data/color-jitter.js";
import { Loader } from "../../src/data/loader.js";
import { cutmix, mixup } from "../../src/data/mix.js";
import { loadImageFolder } from "../../src/data/node-image-folder.js";
import { randomErasing } from "../../src/data/random-erasing.js";
import { splitDataset } from "../../src/data/split.js";
import { fit as trainModel } from "../../src/train/fit.js";
import { crossEntropy } from "../../src/train/losses.js";
import { sgd } from "../../src/train/optimizers.js";
import { MemoryRun, SmallClassifier, untimed } from "../train/helpers.js";
import { picture, writeTree } from "./image-files.js";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "fovea-training-"));
});
afterEach(() => rm(root, { recursive: true }));

it("a folder's images train a network, and a resumed run goes on as an uninterrupted one", async () => {
  // A class is its colour; one image is damaged.
  const files: Record<string, Uint8Array | string> = { "red/damaged.jpg": "no image" };
  for (let i = 0; i < 40; i++) {
    const color = i % 2;
    files[`${["red", "green"][color]}/${i}.jpg`] = await picture(24 + i, 30, (x, y, channel) =>
      channel === color ? 180 + ((x + y + i) % 40) : (x * y + i) % 90,
    )
      .jpeg()
      .toBuffer();
  }
  await writeTree(root, files);

  async function train(run: MemoryRun, settings: { steps: number; resume?: boolean }) {
    const folder = await loadImageFolder(root, { size: 6, onError: "skip" });
    const { train, validation } = splitDataset(folder.train, { validation: 0.25 });
    const result = await trainModel({
      model: new SmallClassifier(108, 2),
      data: new Loader(train, {
        batchSize: 8,
        seed: 7,
        augment: [colorJitter({ brightness: 0.2, contrast: 0.2 }), randomErasing()],
        mix: [mixup(), cutmix()],
      }),
      validation: new Loader(validation, { batchSize: 4 }),
      loss: (logits, targets) => crossEntropy(logits, targets, { labelSmoothing: 0.1 }),
      optimizer: sgd({ momentum: 0.9 }),
      schedule: 0.05,
      run,
      ...settings,
    });
    return { result, broken: folder.broken.length };
  }

  const whole = new MemoryRun();
  const { result, broken } = await train(whole, { steps: 30 });
  expect(result.evaluation.accuracy).toBe(1);
  expect(broken).toBe(1);
  const parts = new MemoryRun();
  await train(parts, { steps: 13 });
  await train(parts, { steps: 30, resume: true });
  const steps = (run: MemoryRun) => untimed(run.events.filter(({ type }) => type === "step"));
  expect(steps(parts)).toEqual(steps(whole));
});
