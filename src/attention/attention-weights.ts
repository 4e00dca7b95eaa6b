import { ShapeError } from "../base/errors.js";
import { broadcastShapes, formatShape, type Shape, sameShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { add } from "../ops/arithmetic.js";
import { where } from "../ops/compare.js";
import { maskedSoftmax } from "../ops/masked-softmax.js";
import { softmax } from "../ops/normalize.js";

/** What a bool mask's `true` says of a key; the two conventions are opposite. */
export type MaskMeaning = "visible" | "hidden";

/** A mask as what is added to the scores: a float mask itself, a bool mask as 0 for visible keys and -infinity for hidden ones. */
export function additiveMask(mask: Tensor, meaning: MaskMeaning): Tensor {
  if (mask.dtype !== "bool") return mask;
  return meaning === "visible"
    ? where(mask, 0, Number.NEGATIVE_INFINITY)
    : where(mask, Number.NEGATIVE_INFINITY, 0);
}

/**
 * Softmax over the last axis of scores, after additive masks. A row whose keys are all hidden gets weights 0.
 * @param scores [..., L, S]
 */
export function attentionWeights(scores: Tensor, masks: readonly Tensor[]): Tensor {
  if (masks.length === 0) return softmax(scores, { axis: -1 });
  return maskedSoftmax(
    masks.reduce((total, mask) => add(total, mask), scores),
    { axis: -1 },
  );
}

/** Refuses a mask that does not broadcast to the shape of the scores. @throws ShapeError */
export function checkMask(call: string, mask: Tensor, scores: Shape): void {
  if (broadcastsTo(mask.shape, scores)) return;
  throw new ShapeError(
    `${call}: input mask must broadcast to ${formatShape(scores)}, found ${formatShape(mask.shape)}`,
  );
}

function broadcastsTo(shape: Shape, target: Shape): boolean {
  try {
    return sameShape(broadcastShapes(shape, target), target);
  } catch (error) {
    if (error instanceof ShapeError) return false;
    throw error;
  }
}
