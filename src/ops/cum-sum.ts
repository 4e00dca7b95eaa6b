import { defineOp, type Op } from "../graph/operator.js";
import { normalizeAxis } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { floatLike } from "./arithmetic.js";

/** Sum of all elements up to each along an axis, itself included; `reverse`: from each to the end. ONNX CumSum-14. */
export const cumSum: Op<[x: Tensor], { axis: number; reverse?: boolean }> = defineOp("cumSum", {
  normalize: ({ axis, reverse = false }, [x]) => ({ axis: normalizeAxis(axis, x.rank), reverse }),
  type: floatLike,
  onnx: (emit, [x], { attributes: { axis, reverse } }) => {
    const at = emit.constant({ dtype: "int64", shape: [], data: BigInt64Array.of(BigInt(axis)) });
    return emit.node("CumSum", [x!, at], { reverse: { int: reverse ? 1 : 0 } });
  },
  gradient: ({ attributes: { axis, reverse }, cotangent: dy }) => [
    () => cumSum(dy, { axis, reverse: !reverse }),
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 4]], attributes: { axis: 1 } },
    { inputs: [[2, 3]], attributes: { axis: -1, reverse: true } },
  ],
});
