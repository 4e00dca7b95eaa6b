import { ancestors } from "../../graph/ancestors.js";
import { isConcrete, type Shape, sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { mul } from "../../ops/arithmetic.js";
import { conv } from "../../ops/conv.js";
import { isConvolved } from "./global-average.js";

/**
 * Whether a model with constant weights had better lie in blocks from the start. ONNX Runtime brings convolutions into blocks by itself,
 * but reorders what a gate per sample and channel multiplies, before and after; here the product is a convolution of single elements,
 * with the sum and the activation that follow. It pays where channels are whole blocks.
 * @param block channels of a block; by default only gates are looked for
 */
export function suitsBlocks(roots: Iterable<Tensor>, block = 1): boolean {
  const all = ancestors(roots);
  let gates = false;
  for (const tensor of all) {
    if (tensor.op === mul) gates ||= isGated(tensor);
    else if (tensor.op === conv && !hasWholeBlocks(tensor, block)) return false;
  }
  return gates;
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

function hasWholeBlocks({ shape }: Tensor, block: number): boolean {
  const [, channels] = shape as Shape & readonly number[];
  return channels! < block || channels! % block === 0;
}
