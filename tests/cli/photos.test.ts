import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeModel } from "../../src/onnx/decoder.js";
import { fovea } from "./fovea.js";
import { writePhotos } from "./photos.js";

let folder: string;
let photos: string;
let run: string;
const small = ["--model", "seresnet8", "--size", "32", "--batch-size", "6", "--warm-up", "2"];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fovea-"));
  photos = join(folder, "photos");
  run = join(folder, "run");
  await writePhotos(photos, 10);
  const { code, log } = await fovea("train", "--data", photos, ...small, "--epochs", "6", "--out", run);
  expect(code, log).toBe(0);
}, 120_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a folder of images", () => {
  test("is divided, trained on and evaluated", async () => {
    const { code, json } = await fovea("evaluate", run, "--json");
    expect(code).toBe(0);
    const result = json<{ images: number; accuracy: number; classes: { name: string; images: number }[] }>();
    expect(result.images).toBe(6); // a fifth of 30, two of each class
    expect(result.classes.map(({ name, images }) => [name, images])).toEqual([
      ["clay", 2],
      ["grass", 2],
      ["sea", 2],
    ]);
    expect(result.accuracy).toBe(1);
  });

  test("can be another than that of the training", async () => {
    const confusion = join(folder, "confusion.png");
    const { code, out } = await fovea("evaluate", run, "--data", photos, "--confusion", confusion);
    expect(code).toBe(0);
    expect(out).toMatch(/^accuracy {2}[\d.]+ % of 30 images$/m);
    expect(out).toMatch(/^clay +10 /m);
    expect(await sharp(confusion).metadata()).toMatchObject({ format: "png" });
  });

  test("of other classes is refused", async () => {
    const other = join(folder, "other");
    await writePhotos(other, 1);
    rmSync(join(other, "sea"), { recursive: true });
    const { code, log } = await fovea("evaluate", run, "--data", other);
    expect(code).toBe(1);
    expect(log).toContain("has the classes clay, grass, sea");
  });

  test("with a broken image fails by its path, or goes on without it", async () => {
    const damaged = join(folder, "damaged");
    await writePhotos(damaged, 4);
    const path = join(damaged, "sea", "broken.jpg");
    writeFileSync(path, "no image");
    const failed = await fovea("evaluate", run, "--data", damaged);
    expect(failed.code).toBe(1);
    expect(failed.log).toContain(path);
    const { code, log, json } = await fovea("evaluate", run, "--data", damaged, "--skip-broken", "--json");
    expect(code).toBe(0);
    expect(log).toContain(`left out: ${path}`);
    expect(json()).toMatchObject({ images: 12 });
  });

  test("is trained on without its broken images, and the run tells its own", async () => {
    const damaged = join(folder, "damaged-run");
    await writePhotos(join(damaged, "train"), 6);
    await writePhotos(join(damaged, "test"), 3);
    writeFileSync(join(damaged, "test", "clay", "broken.jpg"), "no image");
    const out = join(folder, "skipping");
    const { code, json, log } = await fovea(
      ...["train", "--data", damaged, ...small, "--epochs", "1", "--skip-broken", "--out", out, "--json"],
    );
    expect(code, log).toBe(0);
    expect(json()).toMatchObject({ testImages: 9, exportAgrees: 9 });
    const again = await fovea("evaluate", out, "--json");
    expect(again.json()).toMatchObject({ images: 9 });
  });
});

describe("fovea predict", () => {
  const image = (name: string, file: string) => join(photos, name, file);

  test("names the class of images of any format and size", async () => {
    const { code, json } = await fovea(
      ...["predict", image("clay", "0.jpg"), image("sea", "1.png"), image("grass", "2.webp")],
      ...["--model", run, "--top", "2", "--json"],
    );
    expect(code).toBe(0);
    const { images } = json<{ images: { guesses: { class: string; probability: number }[] }[] }>();
    expect(images.map(({ guesses }) => guesses[0]!.class)).toEqual(["clay", "sea", "grass"]);
    for (const { guesses } of images) {
      expect(guesses).toHaveLength(2);
      expect(guesses[0]!.probability).toBeGreaterThan(guesses[1]!.probability);
    }
  });

  test("goes on after an image that cannot be read, and fails in the end", async () => {
    const { code, out, log } = await fovea("predict", "none.jpg", image("sea", "1.png"), "--model", run);
    expect(code).toBe(1);
    expect(log).toContain("none.jpg");
    expect(out).toMatch(/1\.png +sea [\d.]+ %/);
  });

  test("needs a model", async () => {
    expect(await fovea("predict", "a.png")).toMatchObject({
      code: 2,
      log: expect.stringContaining("--model"),
    });
  });
});

describe("fovea train", () => {
  test("begins with the weights of another run, with a new classifier, and keeps what is frozen", async () => {
    const two = join(folder, "two");
    await writePhotos(two, 6);
    rmSync(join(two, "sea"), { recursive: true });
    const tuned = join(folder, "tuned");
    const { code, log } = await fovea(
      ...["train", "--data", two, ...small, "--epochs", "1", "--out", tuned],
      ...["--init", join(run, "best.safetensors"), "--freeze", "conv1.*", "--freeze", "layer1.*"],
    );
    expect(code, log).toBe(0);
    expect(log).toContain("new for these classes: fc.weight, fc.bias");
    for (const [source, name] of [
      [run, "before"],
      [tuned, "after"],
    ] as const) {
      await fovea("export", source, "--to", join(folder, `${name}.onnx`), "--no-fold");
    }
    const weights = (name: string) => decodeModel(readFileSync(join(folder, `${name}.onnx`))).initializers;
    const [before, after] = [weights("before"), weights("after")];
    expect(after.get("layer1.0.conv1.weight")).toEqual(before.get("layer1.0.conv1.weight"));
    expect(after.get("layer2.0.conv1.weight")).not.toEqual(before.get("layer2.0.conv1.weight"));
  });

  test("says what it would do", async () => {
    const out = join(folder, "dry");
    const { code, json } = await fovea(
      ...["train", "--data", photos, ...small, "--epochs", "3", "--out", out, "--dry-run", "--json"],
      ...["--mixup", "0.2", "--cutmix", "1", "--erase", "0.3"],
    );
    expect(code).toBe(0);
    expect(json()).toMatchObject({
      trainImages: 24,
      testImages: 6,
      classes: ["clay", "grass", "sea"],
      imageShape: [3, 32, 32],
      steps: 12,
      settings: { mixup: 0.2, cutmix: 1, erase: 0.3 },
    });
    expect(existsSync(out)).toBe(false);
  });

  test("learns a few images by heart, with mixed images elsewhere", async () => {
    const heart = join(folder, "heart");
    const { code, json } = await fovea(
      ...["train", "--data", photos, "--model", "seresnet8", "--size", "32", "--overfit", "6"],
      ...["--epochs", "20", "--out", heart, "--json"],
    );
    expect(code).toBe(0);
    expect(json()).toMatchObject({ testImages: 6, testAccuracy: 1 });
    const mixed = join(folder, "mixed");
    const mix = ["--mixup", "0.2", "--cutmix", "1", "--erase", "0.5", "--epochs", "1"];
    expect((await fovea("train", "--data", photos, ...small, ...mix, "--out", mixed)).code).toBe(0);
  });
});
