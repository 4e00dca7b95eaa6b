import * as z from "zod/mini";
import { ShapeError } from "../../base/errors.js";
import type { Tensor } from "../../graph/tensor.js";
import { abs, add, div, maximum, mul, neg, sub } from "../../ops/arithmetic.js";
import { cast, equal, not, oneHot, where } from "../../ops/compare.js";
import { logSoftmax } from "../../ops/normalize.js";
import { argMax, mean, sum } from "../../ops/reduce.js";
import { concat, reshape, slice } from "../../ops/shape.js";
import { generalizedIou } from "../boxes.js";
import { type CallInput, type CallSignature, mechanism, type Sizes } from "../mechanism.js";
import { flag, size } from "../options.js";
import { ratio } from "../ratio.js";
import {
  type LayerPredictions,
  type Matching,
  match,
  matchingCost,
  type Targets,
  targetPlaces,
} from "./detr-matching.js";

const weight = z.number().check(z.gte(0));

/** Predictions, as DETR gives them. */
export interface DetrPredictions {
  /** [N, Q, K + 1] */
  readonly predLogits: Tensor;
  /** [N, Q, 4] */
  readonly predBoxes: Tensor;
  /** [A, N, Q, K + 1]: those of the layers before. */
  readonly auxLogits?: Tensor | undefined;
  /** [A, N, Q, 4] */
  readonly auxBoxes?: Tensor | undefined;
}

/** Predictions and the objects that there are, one image's after the other's. */
export interface DetrLossInputs extends DetrPredictions {
  /** Int64 [M], 0 to K - 1. */
  readonly targetLabels: Tensor;
  /** [M, 4]: (centre x, centre y, width, height) as parts of the image. */
  readonly targetBoxes: Tensor;
  /** Objects of each image: int64 [N], in all M. */
  readonly targetCounts: Tensor;
}

/** Predictions and the objects that there are, a row per image, of which the first `targetCounts` hold. */
export interface PaddedDetrLossInputs extends DetrPredictions {
  /** Int64 [N, T], 0 to K - 1, in unused places too. */
  readonly targetLabels: Tensor;
  /** [N, T, 4] */
  readonly targetBoxes: Tensor;
  /** Objects of each image: int64 [N], at most T. */
  readonly targetCounts: Tensor;
}

type LossOptions = { readonly numClasses: number; readonly auxLoss: boolean };

/** The calls, which differ in how they take the objects. */
function signature(
  { numClasses, auxLoss }: LossOptions,
  targets: Readonly<Record<"targetLabels" | "targetBoxes" | "targetCounts", CallInput>>,
  outputs: CallSignature["outputs"],
): CallSignature {
  const classes = numClasses + 1;
  const packed = targets.targetLabels.shape.length === 1;
  return {
    inputs: {
      predLogits: { shape: ["batch", "queries", classes] },
      predBoxes: { shape: ["batch", "queries", 4] },
      ...targets,
      ...(auxLoss
        ? {
            auxLogits: { shape: ["layers", "batch", "queries", classes], optional: true },
            auxBoxes: { shape: ["layers", "batch", "queries", 4], optional: true },
          }
        : {}),
    },
    outputs,
    concreteBatch: true,
    check: ({ targetLabels: labels, targetBoxes: boxes, targetCounts: counts }) => {
      if (labels && boxes && counts) targetPlaces({ packed, labels, boxes, counts }, numClasses);
    },
  };
}

/** Boxes for the examples: one for each place along the named axes. */
function someBoxes(...axes: readonly string[]) {
  return (sizes: Sizes) => {
    const count = axes.reduce((product, axis) => product * sizes[axis]!, 1);
    return Array.from(
      { length: 4 * count },
      (_, index) => Math.round(50 + 40 * Math.sin(index * index + axes.length)) / 100,
    );
  };
}

/** Counts for the examples: packed and padded targets hold the same number. */
function fullRows({ batch = 1, slots = 1 }: Sizes): number[] {
  return new Array(batch).fill(slots);
}

const scalars = { loss: [], lossCe: [], lossBbox: [], lossGiou: [], cardinalityError: [], classError: [] };

function calls(o: LossOptions): Record<"forward" | "forwardPadded", CallSignature> {
  const counts = (most: string): CallInput => ({ shape: ["batch"], dtype: "int64", range: [0, most] });
  const auxiliary: Record<string, string[]> = o.auxLoss
    ? { auxLossCe: ["layers"], auxLossBbox: ["layers"], auxLossGiou: ["layers"] }
    : {};
  // How many pairs there are depends on the values of the counts.
  const pairs = ["..."];
  return {
    forward: signature(
      o,
      {
        targetLabels: { shape: ["targets"], dtype: "int64", range: [0, o.numClasses - 1] },
        targetBoxes: { shape: ["targets", 4] },
        targetCounts: counts("targets"),
      },
      {
        ...scalars,
        ...auxiliary,
        matchedQueries: pairs,
        matchedTargets: pairs,
        matchedCounts: ["batch"],
        ...(o.auxLoss ? { auxMatchedQueries: pairs, auxMatchedTargets: pairs } : {}),
      },
    ),
    forwardPadded: signature(
      o,
      {
        targetLabels: { shape: ["batch", "slots"], dtype: "int64", range: [0, o.numClasses - 1] },
        targetBoxes: { shape: ["batch", "slots", 4] },
        targetCounts: counts("slots"),
      },
      { ...scalars, ...auxiliary },
    ),
  };
}

/**
 * DETR's set criterion: predictions and objects are matched one to one at the least cost, then each query learns its object's class and
 * box, the others "no object". Carion et al.: End-to-End Object Detection with Transformers, ECCV 2020, arXiv:2005.12872, eq. 1 and 2
 * and appendix A.2. The assignment runs on the host, between two parts of the graph, and no gradient flows through it.
 * As in the code, the class costs its probability, not its logarithm, and the class loss is a weighted mean. Two boxes without area have
 * a GIoU of 0 (the code divides 0 by 0). `forwardPadded` is for training, where every batch has the same shapes: it takes images without
 * objects too, and gives the losses alone.
 */
export class DetrLoss extends mechanism({
  id: "detr-loss",
  name: "DETR Set Criterion",
  family: "transformer",
  year: 2020,
  paper:
    "Carion, Massa, Synnaeve, Usunier, Kirillov, Zagoruyko: End-to-End Object Detection with Transformers, ECCV 2020",
  arxiv: "2005.12872",
  formula: String.raw`\hat{\sigma} = \arg\min_{\sigma} \sum_i -\hat{p}_{\sigma(i)}(c_i) + \lambda_1 \|b_i - \hat{b}_{\sigma(i)}\|_1 - \lambda_2\,\mathrm{GIoU}(b_i, \hat{b}_{\sigma(i)}),\quad L = \sum_i -\log \hat{p}_{\hat{\sigma}(i)}(c_i) + \lambda_1 \|b_i - \hat{b}_{\hat{\sigma}(i)}\|_1 + \lambda_2 (1 - \mathrm{GIoU}(b_i, \hat{b}_{\hat{\sigma}(i)}))`,
  options: z
    .strictObject({
      numClasses: size,
      costClass: z._default(weight, 1),
      costBbox: z._default(weight, 5),
      costGiou: z._default(weight, 2),
      lossCeWeight: z._default(weight, 1),
      lossBboxWeight: z._default(weight, 5),
      lossGiouWeight: z._default(weight, 2),
      eosCoef: z._default(weight, 0.1),
      auxLoss: flag(true),
    })
    .check(
      z.refine((o) => o.costClass + o.costBbox + o.costGiou > 0, {
        error: "must not be 0 with costBbox and costGiou",
        path: ["costClass"],
      }),
    ),
  maps: () => ({
    matchingCost: { kind: "tokens", shape: ["batch", "queries", "targets"], calls: ["forward"] },
  }),
  calls,
  parameters: () => 0,
  macs: ({ numClasses }, { layers = 0, batch = 1, queries = 1, targets = 1 }) =>
    (layers + 1) * batch * queries * (numClasses + 1) * targets,
  refused: [
    { numClasses: 0 },
    { costClass: -1 },
    { costClass: 0, costBbox: 0, costGiou: 0 },
    { lossBboxWeight: -1 },
    { eosCoef: -0.1 },
  ],
  examples: [
    {
      options: { numClasses: 3 },
      sizes: { layers: 1, batch: 3, queries: 3, targets: 3, slots: 1 },
      inputs: {
        predBoxes: { values: someBoxes("batch", "queries") },
        auxLogits: {},
        auxBoxes: { values: someBoxes("layers", "batch", "queries") },
        targetBoxes: { values: someBoxes("targets") },
        targetCounts: { values: fullRows },
      },
    },
    {
      options: { numClasses: 2, eosCoef: 0.5, costGiou: 0, lossCeWeight: 3, auxLoss: false },
      sizes: { batch: 3, queries: 1, targets: 6, slots: 2 },
      inputs: {
        predBoxes: { values: someBoxes("batch", "queries") },
        targetBoxes: { values: someBoxes("targets") },
        targetCounts: { values: fullRows },
      },
    },
  ],
}) {
  /**
   * @returns scalars `loss` (all layers, weighted), `lossCe`, `lossBbox`, `lossGiou`, `cardinalityError`, `classError` (of the last layer);
   *   `matchedQueries` and `matchedTargets` [P], `matchedCounts` [N]; for A layers before the last `auxLossCe` and the others [A],
   *   `auxMatchedQueries` and `auxMatchedTargets` [A, P]
   * @throws ShapeError where only one of `auxLogits` and `auxBoxes` is given, or for a symbolic batch
   */
  forward(inputs: DetrLossInputs): Record<string, Tensor> {
    const { targetLabels, targetBoxes, targetCounts: counts } = inputs;
    const targets = {
      packed: true,
      labels: reshape(targetLabels, { shape: [1, targetLabels.size(0)] }),
      boxes: reshape(targetBoxes, { shape: [1, targetBoxes.size(0), 4] }),
      counts,
    };
    const predictions = byLayer("forward", inputs);
    const { cost, matching, losses } = this.#compare(predictions, targets);
    this.tap("matchingCost", lastOf(cost)); // [N, Q, M]
    const { matchedQueries, matchedTargets, matchedCounts } = matching;
    return {
      ...losses,
      matchedQueries: lastOf(matchedQueries),
      matchedTargets: lastOf(matchedTargets),
      matchedCounts,
      ...(inputs.auxLogits
        ? { auxMatchedQueries: othersOf(matchedQueries), auxMatchedTargets: othersOf(matchedTargets) }
        : {}),
    };
  }

  /** @returns the losses and errors of `forward`  @throws ShapeError as `forward` */
  forwardPadded(inputs: PaddedDetrLossInputs): Record<string, Tensor> {
    const { targetLabels: labels, targetBoxes: boxes, targetCounts: counts } = inputs;
    return this.#compare(byLayer("forwardPadded", inputs), { packed: false, labels, boxes, counts }).losses;
  }

  #compare(predictions: LayerPredictions, targets: Targets) {
    const { numClasses, lossCeWeight, lossBboxWeight, lossGiouWeight } = this.options;
    const cost = matchingCost(predictions, targets, this.options); // [layers, N, Q, M or T]
    const matching = match(cost, targets, numClasses);
    const counts = cast(targets.counts, { to: "float32" }); // [N]
    const parts = {
      Ce: this.#classLoss(predictions.logits, matching),
      ...boxLosses(predictions.boxes, matching, { numClasses, counts }),
    }; // [layers] each
    const weighted = add(
      mul(parts.Ce, lossCeWeight),
      add(mul(parts.Bbox, lossBboxWeight), mul(parts.Giou, lossGiouWeight)),
    );
    const auxiliary = predictions.logits.size(0) > 1;
    const losses: Record<string, Tensor> = {
      loss: sum(weighted, { keepDims: false }),
      ...this.#errors(lastOf(predictions.logits), lastOf(matching.classes), counts),
    };
    for (const [name, perLayer] of Object.entries(parts)) {
      losses[`loss${name}`] = lastOf(perLayer);
      if (auxiliary) losses[`auxLoss${name}`] = othersOf(perLayer);
    }
    return { cost, matching, losses };
  }

  /** Cross-entropy of all queries, weighted by class: [layers]. */
  #classLoss(logits: Tensor, { classes }: Matching): Tensor {
    const { numClasses, eosCoef } = this.options;
    const indicator = oneHot(classes, { depth: numClasses + 1 });
    const negativeLog = neg(
      sum(mul(logSoftmax(logits, { axis: -1 }), indicator), { axes: [-1], keepDims: false }),
    );
    const weights = where(equal(classes, numClasses), eosCoef, 1); // [layers, N, Q]
    return ratio(sumOfLayers(mul(weights, negativeLog)), sumOfLayers(weights));
  }

  /** What is logged: how far the number of objects is off, and the percentage of matched queries of another class. */
  #errors(logits: Tensor, classes: Tensor, counts: Tensor): Record<string, Tensor> {
    const { numClasses } = this.options;
    const predicted = argMax(logits, { axis: -1, keepDims: false }); // [N, Q]
    const asNumber = (condition: Tensor) => cast(condition, { to: "float32" });
    const found = sum(asNumber(not(equal(predicted, numClasses))), { axes: [1], keepDims: false }); // [N]
    const matched = asNumber(not(equal(classes, numClasses)));
    const correct = sum(mul(asNumber(equal(predicted, classes)), matched), { keepDims: false });
    return {
      cardinalityError: mean(abs(sub(found, counts)), { keepDims: false }),
      classError: sub(100, mul(ratio(correct, sum(matched, { keepDims: false })), 100)),
    };
  }
}

/** L1 distance and 1 - GIoU of the matched boxes, per object of the batch: [layers] each. */
function boxLosses(
  boxes: Tensor,
  { classes, boxes: wanted }: Matching,
  { numClasses, counts }: { readonly numClasses: number; readonly counts: Tensor },
): { Bbox: Tensor; Giou: Tensor } {
  const [layers, images, queries] = [classes.size(0), classes.size(1), classes.size(2)];
  const matched = reshape(not(equal(classes, numClasses)), { shape: [layers, images, queries, 1] });
  const objects = maximum(sum(counts, { keepDims: false }), 1);
  const perObject = (values: Tensor) => div(sumOfLayers(where(matched, values, 0)), objects);
  return {
    Bbox: perObject(abs(sub(boxes, wanted))),
    Giou: perObject(sub(1, generalizedIou(boxes, wanted))),
  };
}

/** The predictions of all layers in one tensor each, the last at the end. */
function byLayer(
  call: string,
  { predLogits, predBoxes, auxLogits, auxBoxes }: DetrPredictions,
): LayerPredictions {
  if ((auxLogits === undefined) !== (auxBoxes === undefined)) {
    const [given, missing] = auxLogits ? ["auxLogits", "auxBoxes"] : ["auxBoxes", "auxLogits"];
    throw new ShapeError(`DetrLoss.${call}: input ${missing} must be given with ${given}, found none`);
  }
  const [images, queries] = [predLogits.size(0), predLogits.size(1)];
  const joined = (last: Tensor, others: Tensor | undefined) => {
    const layer = reshape(last, { shape: [1, images, queries, last.size(2)] });
    return others ? concat([others, layer], { axis: 0 }) : layer;
  };
  return { logits: joined(predLogits, auxLogits), boxes: joined(predBoxes, auxBoxes) };
}

/** [layers, ...] -> [...] of the last layer */
function lastOf(layers: Tensor): Tensor {
  const last = layers.size(0) - 1;
  const one = slice(layers, { axes: [0], starts: [last], ends: [last + 1] });
  return reshape(one, { shape: layers.shape.slice(1) });
}

/** [layers, ...] without the last layer */
function othersOf(layers: Tensor): Tensor {
  return slice(layers, { axes: [0], starts: [0], ends: [layers.size(0) - 1] });
}

/** [layers, ...] -> [layers] */
function sumOfLayers(values: Tensor): Tensor {
  const axes = values.shape.map((_, axis) => axis).slice(1);
  return sum(values, { axes, keepDims: false });
}
