import { ShapeError } from "../base/errors.js";
import { formatShape, sameShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import type { Layer } from "../nn/sequential.js";

/**
 * What the attention of a block makes of a feature map; the map itself without attention.
 * @throws ShapeError for attention that does not keep the shape
 */
export function attend(attention: Layer | undefined, x: Tensor): Tensor {
  if (!attention) return x;
  const y = attention.forward(x);
  if (sameShape(y.shape, x.shape)) return y;
  const change = `${formatShape(x.shape)} to ${formatShape(y.shape)}`;
  throw new ShapeError(`attention in a block must keep the shape, found ${change}`);
}
