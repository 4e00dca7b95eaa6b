import { ShapeError } from "../base/errors.js";
import { defineOp, type Op } from "../graph/operator.js";
import { formatShape, isConcrete } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { int64Vector } from "./nodes.js";

const expandBatchOp: Op<[x: Tensor, like: Tensor]> = defineOp("expandBatch", {
  type: ([x, like]) => {
    const [first] = like.shape;
    if (x.shape[0] !== 1 || first === undefined) {
      throw new ShapeError(
        `needs [1, ...] and a tensor of rank 1 or more, found ${formatShape(x.shape)} and ${formatShape(like.shape)}`,
      );
    }
    return { shape: [first, ...x.shape.slice(1)], dtype: x.dtype };
  },
  onnx: (emit, [x, like], { inputs, output }) => {
    if (isConcrete(output.shape)) return emit.node("Expand", [x!, int64Vector(emit, output.shape)]);
    const first = emit.node("Shape", [like!], { start: { int: 0 }, end: { int: 1 } });
    const others = int64Vector(emit, inputs[0].shape.slice(1) as readonly number[]);
    return emit.node("Expand", [x!, emit.node("Concat", [first, others], { axis: { int: 0 } })]);
  },
  gradient: ({ cotangent: dy }) => [() => dy, null],
  broadcasts: true,
  macs: 0,
  samples: [
    {
      inputs: [
        [1, 3, 2],
        [4, 5],
      ],
    },
  ],
});

/**
 * The same values for every sample of a batch: class tokens, queries, first states. [1, ...] -> [N, ...], N the first size of `like`,
 * symbolic or not. ONNX Shape-15, Concat-13, Expand-13.
 */
export function expandBatch(x: Tensor, { like }: { like: Tensor }): Tensor {
  return expandBatchOp(x, like);
}
