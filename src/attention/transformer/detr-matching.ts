import type { HostTensor } from "../../base/dtype.js";
import { DataError } from "../../base/errors.js";
import { type HostFunction, hostCall } from "../../graph/host-call.js";
import { batch } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { abs, add, mul, sub } from "../../ops/arithmetic.js";
import { oneHot } from "../../ops/compare.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { sum } from "../../ops/reduce.js";
import { reshape } from "../../ops/shape.js";
import { type Assigned, minimumCostAssignment } from "../assignment.js";
import { generalizedIou } from "../boxes.js";

/** Predictions after several layers, the last layer at the end. */
export interface LayerPredictions {
  /** [layers, N, Q, K + 1] */
  readonly logits: Tensor;
  /** [layers, N, Q, 4] */
  readonly boxes: Tensor;
}

/** The objects of a batch, packed (one image's after the other's) or padded (at the end of each image's row). */
export interface Targets {
  readonly packed: boolean;
  /** Int64 [1, M] or [N, T]. */
  readonly labels: Tensor;
  /** [1, M, 4] or [N, T, 4] */
  readonly boxes: Tensor;
  /** Objects of each image: int64 [N]. */
  readonly counts: Tensor;
}

/** Weights of the parts of the matching cost. */
export interface MatchingWeights {
  readonly numClasses: number;
  readonly costClass: number;
  readonly costBbox: number;
  readonly costGiou: number;
}

/**
 * Cost of giving each target to each query: - p(class), L1 distance and - GIoU of the boxes, weighted. Carion et al. 2020, eq. 1 and
 * appendix A.2.
 * @returns [layers, N, Q, M] or [layers, N, Q, T]
 */
export function matchingCost(
  { logits, boxes }: LayerPredictions,
  targets: Targets,
  o: MatchingWeights,
): Tensor {
  const probabilities = softmax(logits, { axis: -1 });
  const indicator = swapLast(oneHot(targets.labels, { depth: o.numClasses + 1 })); // [1 or N, K + 1, M or T]
  const ofClass = matmul(probabilities, indicator);
  const [layers, images, queries] = [boxes.size(0), boxes.size(1), boxes.size(2)];
  const [rows, columns] = [targets.boxes.size(0), targets.boxes.size(1)];
  const predicted = reshape(boxes, { shape: [layers, images, queries, 1, 4] });
  const wanted = reshape(targets.boxes, { shape: [rows, 1, columns, 4] });
  const distance = sum(abs(sub(predicted, wanted)), { axes: [-1], keepDims: false });
  const overlap = reshape(generalizedIou(predicted, wanted), { shape: [layers, images, queries, columns] });
  return sub(add(mul(distance, o.costBbox), mul(ofClass, -o.costClass)), mul(overlap, o.costGiou));
}

/** What the queries are to predict, as tensors, and which pairs that comes from. */
export interface Matching {
  /** Int64 [layers, N, Q]: the class of the query's target, K for none. */
  readonly classes: Tensor;
  /** [layers, N, Q, 4]: the box of the query's target; any box for none. */
  readonly boxes: Tensor;
  /** Int64 [layers, P]: the queries of the pairs, image after image, ascending. */
  readonly matchedQueries: Tensor;
  /** Int64 [layers, P]: the targets of the pairs, each an index into its image's own. */
  readonly matchedTargets: Tensor;
  /** Int64 [N]: pairs of each image. */
  readonly matchedCounts: Tensor;
}

/** Gives each image's targets to its queries at the least cost, on the host; anew for each layer. */
export function match(cost: Tensor, targets: Targets, numClasses: number): Matching {
  const [layers, images, queries] = [cost.size(0), cost.size(1), cost.size(2)];
  const { packed, labels, boxes, counts } = targets;
  // Where targets are padded, or an image may have more than there are queries, only the host knows the number of pairs.
  const pairs = packed && labels.size(1) <= queries ? labels.size(1) : batch;
  return hostCall(
    assign({ numClasses, packed }),
    { cost, labels, boxes, counts },
    {
      classes: { shape: [layers, images, queries], dtype: "int64" },
      boxes: { shape: [layers, images, queries, 4] },
      matchedQueries: { shape: [layers, pairs], dtype: "int64" },
      matchedTargets: { shape: [layers, pairs], dtype: "int64" },
      matchedCounts: { shape: [images], dtype: "int64" },
    },
  );
}

/** A box for queries without a target: any that has an area. */
const anyBox = [0.5, 0.5, 1, 1];

function assign({
  numClasses,
  packed,
}: {
  readonly numClasses: number;
  readonly packed: boolean;
}): HostFunction {
  return (tensors) => {
    const { cost, labels, boxes, counts } = tensors as Record<"cost" | keyof TargetValues, HostTensor>;
    const [layers, images, queries, columns] = cost.shape as [number, number, number, number];
    const places = targetPlaces({ packed, labels, boxes, counts }, numClasses);
    const classes = new BigInt64Array(layers * images * queries).fill(BigInt(numClasses));
    const wanted = Float32Array.from({ length: classes.length * 4 }, (_, index) => anyBox[index % 4]!);
    const pairs: Assigned[][] = [];
    for (let layer = 0; layer < layers; layer++) {
      for (const [image, { first, column, count }] of places.entries()) {
        const slot = (layer * images + image) * queries;
        const own = Float64Array.from({ length: queries * count }, (_, index) =>
          Number(cost.data[(slot + Math.floor(index / count)) * columns + column + (index % count)]),
        );
        const found = minimumCostAssignment(own, queries, count);
        for (const [query, target] of found) {
          classes[slot + query] = labels.data[first + target] as bigint;
          const from = 4 * (first + target);
          wanted.set(boxes.data.subarray(from, from + 4) as Float32Array, 4 * (slot + query));
        }
        pairs.push(found);
      }
    }
    const perImage = pairs.slice(0, images).map((found) => found.length);
    const perLayer = [layers, perImage.reduce((total, count) => total + count, 0)];
    return {
      classes: { dtype: "int64", shape: [layers, images, queries], data: classes },
      boxes: { dtype: "float32", shape: [layers, images, queries, 4], data: wanted },
      matchedQueries: integers(
        perLayer,
        pairs.flat().map(([query]) => query),
      ),
      matchedTargets: integers(
        perLayer,
        pairs.flat().map(([, target]) => target),
      ),
      matchedCounts: integers([images], perImage),
    };
  };
}

function integers(shape: readonly number[], values: readonly number[]): HostTensor {
  return { dtype: "int64", shape, data: BigInt64Array.from(values, BigInt) };
}

/** The values of targets, whose shapes may lack a first axis of size 1. */
export interface TargetValues {
  readonly packed: boolean;
  readonly labels: HostTensor;
  readonly boxes: HostTensor;
  readonly counts: HostTensor;
}

/** Where the targets of an image are: the first of them, and its column of the cost. */
interface TargetPlace {
  readonly first: number;
  readonly column: number;
  readonly count: number;
}

/**
 * Where each image's targets are.
 * @throws DataError for counts that do not fit, labels that are no class, and boxes of negative size
 */
export function targetPlaces(
  { packed, labels, boxes, counts }: TargetValues,
  numClasses: number,
): TargetPlace[] {
  const columns = labels.shape.at(-1)!;
  const most = packed ? labels.data.length : columns;
  const places: TargetPlace[] = [];
  let used = 0;
  for (const [image, value] of counts.data.entries()) {
    const count = Number(value);
    if (count < 0 || count > most) {
      refuse("targetCounts", `must lie in [0, ${most}], found ${count} at index ${image}`);
    }
    places.push(packed ? { first: used, column: used, count } : { first: image * columns, column: 0, count });
    used += count;
  }
  if (packed && used !== columns) {
    refuse("targetCounts", `must sum to the number of targets ${columns}, found ${used}`);
  }
  for (const { first, count } of places) {
    for (let index = first; index < first + count; index++) {
      const label = Number(labels.data[index]);
      if (label < 0 || label >= numClasses) {
        refuse("targetLabels", `must lie in [0, ${numClasses - 1}], found ${label} at index ${index}`);
      }
      const [width, height] = [Number(boxes.data[4 * index + 2]), Number(boxes.data[4 * index + 3])];
      if (!(width >= 0 && height >= 0)) {
        refuse("targetBoxes", `must have sides of 0 or more, found ${width} x ${height} at index ${index}`);
      }
    }
  }
  return places;
}

function refuse(input: string, what: string): never {
  throw new DataError(`DetrLoss: input ${input} ${what}`);
}
