import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { OptionError, ShapeError } from "../../src/base/errors.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { input } from "../../src/graph/leaf.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { gradients } from "../../src/ops/gradients.js";
import { run } from "../../src/runtime/run.js";
import {
  binaryCrossEntropy,
  type CrossEntropyOptions,
  crossEntropy,
  diceLoss,
  type Loss,
  meanSquaredError,
} from "../../src/train/losses.js";
import { floats, labels } from "./helpers.js";

const file = readSafetensors(
  readFileSync(new URL("../fixtures/pytorch/operators.safetensors", import.meta.url)),
);
const stored = (name: string): HostTensor => toHostTensor(file.tensors.get(name)!, name);
const numbers = (tensor: HostTensor): number[] => Array.from(tensor.data, Number);

/** Loss and the gradient of the output. */
async function evaluated(loss: Loss, output: HostTensor, targets: HostTensor) {
  const body = ({ output, targets }: { output: Tensor; targets: Tensor }) => {
    const value = loss(output, targets);
    return { value, gradient: gradients(value, [output])[0]! };
  };
  const { outputs } = await run(body as (inputs: never) => Record<string, Tensor>, { output, targets });
  return { value: numbers(outputs.value!)[0]!, gradient: numbers(outputs.gradient!) };
}

function expectClose(actual: readonly number[], expected: readonly number[], tolerance = 1e-6): void {
  const largest = Math.max(...expected.map(Math.abs));
  expect(actual).toHaveLength(expected.length);
  const worst = Math.max(...actual.map((value, index) => Math.abs(value - expected[index]!)));
  expect(worst / largest).toBeLessThan(tolerance);
}

describe("losses against PyTorch", () => {
  const weighted: Loss = (logits, classes) =>
    crossEntropy(logits, classes, {
      labelSmoothing: 0.1,
      classWeights: numbers(stored("crossEntropy.input.2")),
    });
  const cases: readonly [string, Loss][] = [
    ["crossEntropyPlain", crossEntropy],
    ["crossEntropy", weighted],
    [
      "crossEntropySpatial",
      (logits, classes) =>
        crossEntropy(logits, classes, {
          labelSmoothing: 0.1,
          classWeights: numbers(stored("crossEntropySpatial.input.2")),
        }),
    ],
    [
      "bceWithLogits",
      (logits, targets) =>
        binaryCrossEntropy(logits, targets, { positiveWeights: numbers(stored("bceWithLogits.input.2")) }),
    ],
    ["mse", meanSquaredError],
  ];
  it.each(cases)("%s", async (name, loss) => {
    const { value, gradient } = await evaluated(loss, stored(`${name}.input.0`), stored(`${name}.input.1`));
    expectClose([value], numbers(stored(`${name}.output`)));
    const cotangent = numbers(stored(`${name}.cotangent`))[0]!;
    expectClose(
      gradient.map((entry) => entry * cotangent),
      numbers(stored(`${name}.gradInput.0`)),
    );
  });

  it("binary cross-entropy of large logits, whose reference is not averaged", async () => {
    const [x, y] = [stored("bceWithLogitsLarge.input.0"), stored("bceWithLogitsLarge.input.1")];
    const { value, gradient } = await evaluated(binaryCrossEntropy, x, y);
    const each = numbers(stored("bceWithLogitsLarge.output"));
    expectClose([value], [each.reduce((total, entry) => total + entry) / each.length]);
    const cotangent = numbers(stored("bceWithLogitsLarge.cotangent"));
    expectClose(
      gradient.map((entry, index) => entry * cotangent[index]! * each.length),
      numbers(stored("bceWithLogitsLarge.gradInput.0")),
    );
  });
});

/** Values and gradients of `torch.nn.functional.cross_entropy` of probabilities. */
describe("cross-entropy of the classes' shares against PyTorch", () => {
  const x = floats([2, 3], [0.5, -1, 2, 1, 0, -0.5]);
  const shares = floats([2, 3], [0.2, 0.3, 0.5, 0, 0.75, 0.25]);
  it.each<[string, CrossEntropyOptions, number, number[]]>([
    ["plain", {}, 1.515340209, [-0.0123548, -0.1304437, 0.1427985, 0.3142658, -0.2593881, -0.0548778]],
    [
      "smoothed",
      { labelSmoothing: 0.1 },
      1.5157567263,
      [-0.0190215, -0.1321104, 0.1511319, 0.2975992, -0.2385547, -0.0590445],
    ],
    [
      "smoothed and weighted",
      { labelSmoothing: 0.1, classWeights: [1, 2, 0.5] },
      2.3699624538,
      [-0.0136167, -0.2825711, 0.2961877, 0.4796115, -0.5257628, 0.0461513],
    ],
  ])("%s", async (_, options, value, gradient) => {
    const found = await evaluated((a, b) => crossEntropy(a, b, options), x, shares);
    expectClose([found.value], [value]);
    expectClose(found.gradient, gradient);
  });

  it("is that of labels where each image has one class", async () => {
    const oneHot = floats([2, 3], [0, 0, 1, 1, 0, 0]);
    const soft = await evaluated((a, b) => crossEntropy(a, b, { labelSmoothing: 0.2 }), x, oneHot);
    const hard = await evaluated((a, b) => crossEntropy(a, b, { labelSmoothing: 0.2 }), x, labels([2, 0]));
    expectClose([soft.value], [hard.value]);
    expectClose(soft.gradient, hard.gradient);
  });
});

describe("losses", () => {
  it("smoothing without weights is smoothing with equal weights", async () => {
    const [x, y] = [stored("crossEntropy.input.0"), stored("crossEntropy.input.1")];
    const plain = await evaluated((a, b) => crossEntropy(a, b, { labelSmoothing: 0.2 }), x, y);
    const equal = await evaluated(
      (a, b) => crossEntropy(a, b, { labelSmoothing: 0.2, classWeights: [3, 3, 3, 3, 3] }),
      x,
      y,
    );
    expectClose([plain.value], [equal.value]);
    expectClose(plain.gradient, equal.gradient);
  });

  it("binary cross-entropy is exact and has its gradient at 0, and is finite far out", async () => {
    const x = floats([4], [0, 0, -200, 200]);
    const { value, gradient } = await evaluated(binaryCrossEntropy, x, floats([4], [1, 0, 1, 1]));
    expectClose([value], [(2 * Math.log(2) + 200) / 4]);
    expectClose(gradient, [-0.125, 0.125, -0.25, 0]);
  });

  it("work for a symbolic batch", async () => {
    const loss = crossEntropy(input("x", [batch, 5]), input("y", [batch], "int64"), { labelSmoothing: 0.1 });
    expect(loss.shape).toEqual([]);
  });

  const logits = input("logits", [4, 3]);
  const classes = input("labels", [4], "int64");
  it.each([
    [
      () => crossEntropy(logits, input("labels", [3], "int64")),
      /labels \[N, \.\.\.\], found \[4, 3\] and \[3\]/,
    ],
    [() => crossEntropy(logits, input("labels", [4])), /crossEntropy: labels must be int64, found float32/],
    [
      () => crossEntropy(logits, input("shares", [4, 2])),
      /shares of the classes alike, found \[4, 3\] and \[4, 2\]/,
    ],
    [() => crossEntropy(input("x", [4]), classes), /logits must be \[N, C/],
    [
      () => meanSquaredError(logits, input("y", [4])),
      /targets must be shaped like the output \[4, 3\], found \[4\]/,
    ],
    [() => binaryCrossEntropy(logits, input("y", [4, 3], "int64")), /targets must be float32, found int64/],
  ])("refuse shapes and dtypes (%#)", (call, message) => {
    expect(call).toThrow(ShapeError);
    expect(call).toThrow(message);
  });

  it.each([
    [() => crossEntropy(logits, classes, { labelSmoothing: 1 }), /labelSmoothing is 1; it must be below 1/],
    [() => crossEntropy(logits, classes, { labelSmoothing: Number.NaN }), /labelSmoothing is NaN/],
    [
      () => crossEntropy(logits, classes, { classWeights: [1, 2] }),
      /classWeights has 2 numbers; there are 3/,
    ],
    [() => crossEntropy(logits, classes, { classWeights: [1, 2, -1] }), /classWeights is -1/],
    [() => binaryCrossEntropy(logits, logits, { positiveWeights: [1] }), /positiveWeights has 1 numbers/],
  ])("refuse options (%#)", (call, message) => {
    expect(call).toThrow(OptionError);
    expect(call).toThrow(message);
  });

  it("a label that is no class counts as none", async () => {
    const x = floats([2, 3], [1, 2, 3, 3, 2, 1]);
    const { value } = await evaluated(crossEntropy, x, labels([2, -1]));
    const known = await evaluated(crossEntropy, floats([1, 3], [1, 2, 3]), labels([2]));
    expectClose([value], [known.value / 2]);
  });
});

describe("diceLoss", () => {
  /** Two images of three pixels and three classes, of which the last does not occur. */
  const values = [0.5, -1, 2, 0.3, 0.7, -0.2, -1.5, 0, 0.4, 1, -0.6, 0.2, -0.3, 0.9, 1.1, 0.1, 0, -2];
  const targets = [0, 1, 0, 0, 0, 1];
  const labelled = { ...labels(targets), shape: [2, 3] };

  /** The same in float64, from its formula. */
  function reference(logits: readonly number[], smoothing: number): number {
    const sums = [0, 1, 2].map(() => ({ common: 0, both: 0 }));
    for (const [at, target] of targets.entries()) {
      const [image, pixel] = [Math.floor(at / 3), at % 3];
      const weights = [0, 1, 2].map((label) => Math.exp(logits[image * 9 + label * 3 + pixel]!));
      const total = weights.reduce((sum, weight) => sum + weight);
      for (const [label, weight] of weights.entries()) {
        sums[label]!.common += label === target ? weight / total : 0;
        sums[label]!.both += weight / total + (label === target ? 1 : 0);
      }
    }
    const dice = sums.map(({ common, both }) => (2 * common + smoothing) / (both + smoothing));
    return 1 - dice.reduce((sum, value) => sum + value) / 3;
  }

  it.each([1, 0])(
    "is one less the mean Dice coefficient, and has its gradient (smoothing %d)",
    async (smoothing) => {
      const loss: Loss = (x, y) => diceLoss(x, y, { smoothing });
      const { value, gradient } = await evaluated(loss, floats([2, 3, 3], values), labelled);
      expectClose([value], [reference(values, smoothing)]);
      const step = 1e-5;
      const slopes = values.map((entry, at) => {
        const [up, down] = [step, -step].map((shift) => reference(values.with(at, entry + shift), smoothing));
        return (up! - down!) / (2 * step);
      });
      expectClose(gradient, slopes, 1e-5);
    },
  );

  it("is 0 where every pixel is certain and right, with classes that do not occur", async () => {
    const certain = targets.map((target) => [0, 1, 2].map((label) => (label === target ? 60 : -60)));
    const byClass = [certain.slice(0, 3), certain.slice(3)].flatMap((image) =>
      [0, 1, 2].flatMap((label) => image.map((scores) => scores[label]!)),
    );
    expect((await evaluated(diceLoss, floats([2, 3, 3], byClass), labelled)).value).toBeCloseTo(0, 6);
  });

  it("takes shares of the classes", async () => {
    const logits = floats([2, 3, 3], values);
    const shares = [0, 1].flatMap((image) =>
      [0, 1, 2].flatMap((label) => [0, 1, 2].map((pixel) => (targets[image * 3 + pixel] === label ? 1 : 0))),
    );
    const byShares = await evaluated(diceLoss, logits, floats([2, 3, 3], shares));
    expect(byShares).toEqual(await evaluated(diceLoss, logits, labelled));
  });

  it("refuses one class, labels of another shape and a negative smoothing", () => {
    const x = input("x", [2, 3, 4]);
    const y = input("y", [2, 4], "int64");
    expect(() => diceLoss(input("x", [2, 1, 4]), y)).toThrow("two classes or more, found [2, 1, 4]");
    expect(() => diceLoss(x, input("y", [2], "int64"))).toThrow(ShapeError);
    expect(() => diceLoss(x, y, { smoothing: -1 })).toThrow(OptionError);
  });
});
