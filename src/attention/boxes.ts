import type { Tensor } from "../graph/tensor.js";
import { relu } from "../ops/activation.js";
import { add, maximum, minimum, mul, sub } from "../ops/arithmetic.js";
import { slice } from "../ops/shape.js";
import { ratio } from "./ratio.js";

/** The sides of boxes, each [..., 1]. */
interface Corners {
  readonly left: Tensor;
  readonly top: Tensor;
  readonly right: Tensor;
  readonly bottom: Tensor;
}

/** (centre x, centre y, width, height) as sides. */
function corners(boxes: Tensor): Corners {
  const [x, y, width, height] = [0, 1, 2, 3].map((at) =>
    slice(boxes, { axes: [-1], starts: [at], ends: [at + 1] }),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const [halfWidth, halfHeight] = [mul(width, 0.5), mul(height, 0.5)];
  return {
    left: sub(x, halfWidth),
    top: sub(y, halfHeight),
    right: add(x, halfWidth),
    bottom: add(y, halfHeight),
  };
}

/** Area; 0 where a side has no length. */
function area({ left, top, right, bottom }: Corners): Tensor {
  return mul(relu(sub(right, left)), relu(sub(bottom, top)));
}

/**
 * Generalized intersection over union: IoU - (C - U) / C with the union U and the smallest box C around both; in [-1, 1].
 * Rezatofighi et al.: Generalized Intersection over Union, CVPR 2019, arXiv:1902.09630, algorithm 1. Two boxes without area have 0.
 * @param a boxes (centre x, centre y, width, height) [..., 4]
 * @param b boxes whose leading axes broadcast with those of a
 * @returns [..., 1]
 */
export function generalizedIou(a: Tensor, b: Tensor): Tensor {
  const [p, q] = [corners(a), corners(b)];
  const intersection = area({
    left: maximum(p.left, q.left),
    top: maximum(p.top, q.top),
    right: minimum(p.right, q.right),
    bottom: minimum(p.bottom, q.bottom),
  });
  const union = sub(add(area(p), area(q)), intersection);
  const around = area({
    left: minimum(p.left, q.left),
    top: minimum(p.top, q.top),
    right: maximum(p.right, q.right),
    bottom: maximum(p.bottom, q.bottom),
  });
  return sub(ratio(intersection, union), ratio(sub(around, union), around));
}
