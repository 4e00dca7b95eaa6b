import { ancestors } from "../../graph/ancestors.js";
import { isConcrete, sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { mul } from "../../ops/arithmetic.js";
import { conv } from "../../ops/conv.js";
import { isConvolved } from "./global-average.js";

/*
 * Whether a model with constant weights had better lie in blocks from the start. ONNX Runtime brings convolutions into blocks by itself,
 * but reorders what a gate per sample and channel multiplies, before and after; here the product is a convolution of single elements,
 * with the sum and the activation that follow. It pays where channels are whole blocks.
 */

/** True where what convolutions made is multiplied by a value per sample and channel. */
export function hasGates(roots: Iterable<Tensor>): boolean {
  for (const tensor of ancestors(roots)) if (tensor.op === mul && isGated(tensor)) return true;
  return false;
}

/** True where all convolutions give whole blocks of so many channels, or less than one. */
export function hasWholeBlocks(roots: Iterable<Tensor>, block: number): boolean {
  for (const { op, shape } of ancestors(roots)) {
    const [, channels] = shape as readonly number[];
    if (op === conv && channels! > block && channels! % block !== 0) return false;
  }
  return true;
}

/** True for the product of an image made by convolutions and a value per sample and channel. */
function isGated({ shape, inputs }: Tensor): boolean {
  if (shape.length !== 4 || !isConcrete(shape)) return false;
  const gate = [...shape.slice(0, 2), 1, 1];
  return inputs.some(
    (image, index) =>
      sameShape(image.shape, shape) && sameShape(inputs[1 - index]!.shape, gate) && isConvolved(image),
  );
}
