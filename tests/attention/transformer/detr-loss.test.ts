import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { generalizedIou } from "../../../src/attention/boxes.js";
import { DetrLoss } from "../../../src/attention/transformer/detr-loss.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { DataError, ShapeError } from "../../../src/base/errors.js";
import { type InputType, trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { gradients } from "../../../src/ops/gradients.js";
import { sum } from "../../../src/ops/reduce.js";
import { release, run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { floats, labels } from "../../train/helpers.js";
import { image } from "../images.js";
import { permuteRows } from "./tokens.js";

const options = { numClasses: 3, auxLoss: false };
const criterion = new DetrLoss(options);
const scalarNames = ["loss", "lossCe", "lossBbox", "lossGiou", "cardinalityError", "classError"];

/** Boxes within the image. */
function boxes(shape: readonly number[], stream: string): HostTensor {
  const data = (image([...shape, 4], stream).data as Float32Array).map(
    (value, index) => (index % 4 < 2 ? 0.5 : 0.25) + 0.15 * Math.sin(3 * value),
  );
  return { dtype: "float32", shape: [...shape, 4], data };
}

const inputs = {
  predLogits: image([2, 5, 4], "logits"),
  predBoxes: boxes([2, 5], "predictions"),
  targetLabels: labels([0, 2, 1, 1]),
  targetBoxes: boxes([4], "targets"),
  targetCounts: labels([3, 1]),
};

async function evaluate(
  given: Record<string, HostTensor>,
  module: DetrLoss = criterion,
  call = "forward",
): Promise<Record<string, number[]>> {
  const { outputs } = await run(module, given, { call });
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, numbers(tensor)]));
}

function expectSame(
  a: Record<string, number[]>,
  b: Record<string, number[]>,
  names: readonly string[],
): void {
  for (const name of names) {
    expect(a[name]!.length, name).toBe(b[name]!.length);
    for (const [index, value] of a[name]!.entries()) expect(value, name).toBeCloseTo(b[name]![index]!, 5);
  }
}

describe("DETR's set criterion", () => {
  it("does not depend on the order of targets", async () => {
    const order = [2, 0, 1, 3];
    const result = await evaluate({
      ...inputs,
      targetLabels: labels(order.map((index) => numbers(inputs.targetLabels)[index]!)),
      targetBoxes: permuteRows(inputs.targetBoxes, 0, order),
    });
    const before = await evaluate(inputs);
    expectSame(result, before, [...scalarNames, "matchedQueries", "matchedCounts"]);
    expect(result.matchedTargets!.map((target, pair) => (pair < 3 ? order[target] : target))).toEqual(
      before.matchedTargets,
    );
  });

  it("does not depend on the order of queries", async () => {
    const order = [3, 1, 4, 0, 2];
    const result = await evaluate({
      ...inputs,
      predLogits: permuteRows(inputs.predLogits, 1, order),
      predBoxes: permuteRows(inputs.predBoxes, 1, order),
    });
    expectSame(result, await evaluate(inputs), scalarNames);
  });

  it("has no box loss for perfect boxes, and no errors for perfect classes", async () => {
    const targets = numbers(inputs.targetBoxes);
    const perfect = numbers(inputs.predBoxes);
    const classes = new Array(10).fill(3);
    // Targets of the first image at queries 4, 0, 2, that of the second at 1.
    for (const [target, slot] of [4, 0, 2, 6].entries()) {
      for (let at = 0; at < 4; at++) perfect[4 * slot + at] = targets[4 * target + at]!;
      classes[slot] = numbers(inputs.targetLabels)[target];
    }
    const logits = Array.from({ length: 40 }, (_, index) =>
      classes[Math.floor(index / 4)] === index % 4 ? 8 : 0,
    );
    const result = await evaluate({
      ...inputs,
      predLogits: floats([2, 5, 4], logits),
      predBoxes: floats([2, 5, 4], perfect),
    });
    expect(result.lossBbox![0]).toBe(0);
    expect(result.lossGiou![0]).toBeCloseTo(0, 6);
    expect(result.lossCe![0]).toBeCloseTo(Math.log(1 + 3 * Math.exp(-8)), 6);
    expect([result.cardinalityError, result.classError]).toEqual([[0], [0]]);
    expect(result.matchedQueries).toEqual([0, 2, 4, 1]);
    expect(result.matchedTargets).toEqual([1, 2, 0, 0]);
    expect(result.matchedCounts).toEqual([3, 1]);
  });

  it("leaves targets unmatched where there are more than queries", async () => {
    const few = {
      ...inputs,
      predLogits: image([2, 2, 4], "few"),
      predBoxes: boxes([2, 2], "few"),
    };
    const { matchedQueries, matchedTargets, matchedCounts, loss } = await evaluate(few);
    expect(matchedCounts).toEqual([2, 1]);
    expect(matchedQueries!.slice(0, 2)).toEqual([0, 1]);
    expect(new Set(matchedTargets!.slice(0, 2)).size).toBe(2);
    expect(matchedTargets).toHaveLength(3);
    expect(Number.isFinite(loss![0])).toBe(true);
  });

  it("takes padded targets, which change nothing, and images without any", async () => {
    const rows = numbers(inputs.targetBoxes);
    const rest = new Array(8).fill(91);
    const padded = {
      predLogits: inputs.predLogits,
      predBoxes: inputs.predBoxes,
      targetLabels: { ...labels([0, 2, 1, 1, 2, 2]), shape: [2, 3] },
      targetBoxes: floats([2, 3, 4], [...rows, ...rest]),
      targetCounts: inputs.targetCounts,
    };
    expectSame(await evaluate(padded, criterion, "forwardPadded"), await evaluate(inputs), scalarNames);
    const empty = await evaluate({ ...padded, targetCounts: labels([0, 0]) }, criterion, "forwardPadded");
    const slots = numbers(inputs.predLogits);
    const none = Array.from({ length: 10 }, (_, slot) => {
      const row = slots.slice(4 * slot, 4 * slot + 4);
      return Math.log(row.reduce((total, value) => total + Math.exp(value), 0)) - row[3]!;
    });
    expect(empty.lossCe![0]).toBeCloseTo(
      none.reduce((total, value) => total + value / 10, 0),
      5,
    );
    expect([empty.lossBbox, empty.lossGiou, empty.classError]).toEqual([[0], [0], [100]]);
  });

  it("matches each auxiliary layer anew, with the same losses", async () => {
    const withLayers = new DetrLoss({ numClasses: 3 });
    const other = { logits: image([2, 5, 4], "other"), boxes: boxes([2, 5], "other") };
    const stacked = (a: HostTensor, b: HostTensor): HostTensor =>
      floats([2, ...a.shape], [...numbers(a), ...numbers(b)]);
    const result = await evaluate(
      {
        ...inputs,
        auxLogits: stacked(other.logits, inputs.predLogits),
        auxBoxes: stacked(other.boxes, inputs.predBoxes),
      },
      withLayers,
    );
    const own = await evaluate(inputs);
    const others = await evaluate({ ...inputs, predLogits: other.logits, predBoxes: other.boxes });
    for (const part of ["Ce", "Bbox", "Giou"]) {
      expect(result[`auxLoss${part}`]![0]).toBeCloseTo(others[`loss${part}`]![0]!, 5);
      expect(result[`auxLoss${part}`]![1]).toBeCloseTo(own[`loss${part}`]![0]!, 5);
    }
    expect(result.loss![0]).toBeCloseTo(2 * own.loss![0]! + others.loss![0]!, 4);
    expect(result.auxMatchedQueries).toEqual([...others.matchedQueries!, ...own.matchedQueries!]);
    expect(result.auxMatchedTargets).toEqual([...others.matchedTargets!, ...own.matchedTargets!]);
    expectSame(await evaluate(inputs, withLayers), own, scalarNames);
  });

  it("ends where predictions are not finite, with a loss that is not", async () => {
    const broken = numbers(inputs.predLogits).map((value, index) => (index < 4 ? Number.NaN : value));
    const { loss } = await evaluate({ ...inputs, predLogits: floats([2, 5, 4], broken) });
    expect(loss![0]).toBeNaN();
  });

  it("refuses targets that are none, before a run and during it", async () => {
    const refused: [Partial<typeof inputs>, string][] = [
      [{ targetLabels: labels([0, 3, 1, 1]) }, "targetLabels must lie in [0, 2], found 3 at index 1"],
      [{ targetLabels: labels([-1, 0, 1, 1]) }, "targetLabels must lie in [0, 2], found -1 at index 0"],
      [{ targetCounts: labels([3, 2]) }, "targetCounts must sum to the number of targets 4, found 5"],
      [{ targetCounts: labels([3, 0]) }, "targetCounts must sum to the number of targets 4, found 3"],
      [{ targetCounts: labels([5, -1]) }, "targetCounts must lie in [0, 4], found 5 at index 0"],
      [
        {
          targetBoxes: floats(
            [4, 4],
            new Array(16).fill(0).map((_, index) => (index === 7 ? -0.5 : 0.25)),
          ),
        },
        "targetBoxes must have sides of 0 or more, found 0.25 x -0.5 at index 1",
      ],
    ];
    for (const [change, message] of refused) {
      const given = { ...inputs, ...change };
      expect(() => criterion.checkValues("forward", given)).toThrow(DataError);
      await expect(evaluate(given)).rejects.toThrow(message);
    }
    await release(criterion);
  });

  it("takes both or none of the auxiliary predictions", () => {
    const types: Record<string, InputType> = Object.fromEntries(
      Object.entries(inputs).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
    );
    const half = { ...types, auxLogits: { shape: [1, 2, 5, 4] } };
    expect(() => trace(new DetrLoss({ numClasses: 3 }), half)).toThrow(ShapeError);
    expect(() => trace(new DetrLoss({ numClasses: 3 }), half)).toThrow(
      "auxBoxes must be given with auxLogits",
    );
    expect(() => trace(criterion, half)).toThrow("has no input auxLogits");
  });
});

describe("generalized IoU", () => {
  const withGradient = ({ p, q }: Record<"p" | "q", Tensor>) => {
    const value = generalizedIou(p, q);
    return { value, gradient: gradients(sum(value, { keepDims: false }), [p])[0]! };
  };
  const pairOf = async (a: readonly number[], b: readonly number[]) => {
    const pair = { p: floats([a.length / 4, 4], a), q: floats([b.length / 4, 4], b) };
    const { outputs } = await run(withGradient, pair);
    return { value: numbers(outputs.value!), gradient: numbers(outputs.gradient!) };
  };

  it("is 1 for equal boxes, IoU less the empty share of the box around both, and 0 for two points", async () => {
    const { value, gradient } = await pairOf(
      [0.5, 0.5, 0.2, 0.2, 0.25, 0.5, 0.5, 1, 0.1, 0.1, 0.2, 0.2, 0.5, 0.5, 0, 0],
      [0.5, 0.5, 0.2, 0.2, 0.5, 0.5, 0.5, 1, 0.9, 0.1, 0.2, 0.2, 0.5, 0.5, 0, 0],
    );
    expect(value[0]).toBeCloseTo(1, 6);
    expect(value[1]).toBeCloseTo(1 / 3, 6);
    expect(value[2]).toBeCloseTo(-0.6, 6);
    expect(value[3]).toBe(0);
    for (const slope of gradient) expect(Number.isFinite(slope)).toBe(true);
  });

  it("lies in [-1, 1]", async () => {
    const coordinate = fc.float({ min: 0, max: 1, noNaN: true });
    await fc.assert(
      fc.asyncProperty(fc.array(coordinate, { minLength: 64, maxLength: 64 }), async (values) => {
        const { value, gradient } = await pairOf(values.slice(0, 32), values.slice(32));
        for (const iou of value) expect(iou >= -1 - 1e-6 && iou <= 1 + 1e-6, `${iou}`).toBe(true);
        for (const slope of gradient) expect(Number.isFinite(slope), `${values}`).toBe(true);
      }),
      { numRuns: 100 },
    );
  });
});
