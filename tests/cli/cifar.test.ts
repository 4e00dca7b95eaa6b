import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { decodeModel } from "../../src/onnx/decoder.js";
import { cifarFile, writeCifar10 } from "../data/cifar-files.js";
import { fovea, trainSmall } from "./fovea.js";

let folder: string;
let data: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fovea-"));
  data = join(folder, "cifar-10-batches-bin");
  await writeCifar10(data, 20);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("an SE-ResNet-20 learns images in the form of CIFAR-10, is evaluated and exported", async () => {
  const run = join(folder, "run");
  await trainSmall(run, "--data", "cifar10", "--data-folder", data, "--threads", "2");
  const onnx = join(folder, "cifar.onnx");
  expect((await fovea("export", run, "--to", onnx)).code).toBe(0);
  const { inputs, metadata } = decodeModel(readFileSync(onnx));
  expect(inputs[0]!.shape).toEqual(["batch", 3, 32, 32]);
  expect(metadata.get("model")).toBe("seresnet20");
  expect(JSON.parse(metadata.get("classes")!)).toContain("automobile");
  const { code, json } = await fovea("evaluate", run, "--json");
  expect(code).toBe(0);
  expect(json()).toMatchObject({ data: "CIFAR-10 test", images: 20 });
});

test("a damaged file is named", async () => {
  const broken = join(folder, "broken");
  await writeCifar10(broken, 4);
  writeFileSync(join(broken, "data_batch_3.bin"), cifarFile([]).subarray(0, 0));
  const { code, log } = await fovea("train", "--data", "cifar10", "--data-folder", broken, "--dry-run");
  expect(code).toBe(1);
  expect(log).toContain("data_batch_3.bin");
});

test("CIFAR without its folder is refused", async () => {
  const { code, log } = await fovea("train", "--data", "cifar10", "--dry-run");
  expect(code).toBe(1);
  expect(log).toContain("training on cifar10 needs --data-folder");
});
