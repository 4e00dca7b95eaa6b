import { expect, it } from "vitest";
import { decodeModel } from "../../src/onnx/decoder.js";
import { fastToSort } from "../../src/onnx/fast-to-sort.js";
import { crossEntropy } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { sgd } from "../../src/train/optimizers.js";
import { buildTrainingStep } from "../../src/train/training-step.js";
import { SmallClassifier } from "../train/helpers.js";

const node = (output: string, ...inputs: string[]) => ({ inputs, outputs: [output] });

it("nodes on one input or none come first, in their order", () => {
  const nodes = [
    node("a", "x", "w"),
    node("b", "w"),
    node("c", "a", "b"),
    node("d", "b", "b", "constant"),
    node("e", "constant"),
    node("f", "v", "e"),
    node("g", "f", "d"),
    node("h", "g"),
    node("i", "", "x"),
  ];
  const order = fastToSort(nodes, ["x", "w", "v"]).map(({ outputs }) => outputs[0]);
  expect(order).toEqual(["b", "d", "e", "f", "i", "a", "c", "g", "h"]);
});

it("in a training step the decay of momenta comes before the forward pass", () => {
  const model = new SmallClassifier();
  const { bytes } = buildTrainingStep({
    model,
    objective: supervised({ model, loss: crossEntropy }),
    inputs: { x: { shape: [6, 3, 2, 2] }, y: { shape: [6], dtype: "int64" } },
    optimizer: sgd({ momentum: 0.9, weightDecay: 1e-3 }),
  });
  const { nodes } = decodeModel(bytes);
  const decays = nodes.flatMap(({ inputs }, index) =>
    inputs.some((name) => name.startsWith("optimizer.")) && inputs.length === 2 ? [index] : [],
  );
  const firstProduct = nodes.findIndex(({ opType }) => opType === "MatMul" || opType === "Gemm");
  expect(decays.length).toBeGreaterThan(4);
  expect(firstProduct).toBeGreaterThan(0);
  expect(Math.max(...decays)).toBeLessThan(firstProduct);
});
