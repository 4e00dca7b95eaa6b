import { expect, it } from "vitest";
import { VisionTransformer } from "../../src/attention/transformer/vit.js";
import { FormatError } from "../../src/base/errors.js";
import { readTensorFile } from "../../src/formats/tensor-file.js";
import { namedVariables } from "../../src/graph/model.js";
import { loadCheckpoint } from "../../src/models/checkpoint-load.js";
import { saveWeights } from "../../src/models/checkpoint-save.js";
import { mutate, numbers } from "../formats/mutations.js";
import { weightsFixture } from "./weights.js";

const rounds = 400;
const network = () =>
  new VisionTransformer({
    imageSize: 8,
    patchSize: 4,
    depth: 2,
    heads: 2,
    embedDim: 8,
    mlpRatio: 2,
    numClasses: 3,
  });

const whole = network();
loadCheckpoint(whole, readTensorFile(weightsFixture("vit.pth")).tensors);

const torchFile = saveWeights(whole, { names: "torch" });
const headerEnd = 8 + Number(new DataView(torchFile.buffer).getBigUint64(0, true));
const none = new Uint8Array();

it.each<[string, Uint8Array, Uint8Array]>([
  ["PyTorch's file", weightsFixture("vit.pth"), none],
  ["a safetensors file", saveWeights(whole), none],
  // Names and shapes: few changes of the values are refused.
  ["a header", torchFile.subarray(0, headerEnd), torchFile.subarray(headerEnd)],
])("%s, changed anywhere, is loaded whole or refused by a FormatError", (_name, bytes, rest) => {
  let refused = 0;
  for (let seed = 0; seed < rounds; seed++) {
    const changed = Buffer.concat([mutate(new Uint8Array(bytes), numbers(seed)), rest]);
    const model = network();
    const variables = [...namedVariables(model).values()];
    try {
      loadCheckpoint(model, readTensorFile(changed).tensors);
      expect(variables.every(({ initialized }) => initialized)).toBe(true);
    } catch (error) {
      if (!(error instanceof FormatError)) throw new Error(`seed ${seed}`, { cause: error });
      expect(variables.some(({ initialized }) => initialized)).toBe(false);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(rounds / 8);
});
