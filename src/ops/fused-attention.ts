import { elementCount } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats, requireRank } from "../graph/operator.js";
import { concreteShape, formatShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { mul, sub } from "./arithmetic.js";
import { matmul, swapLast } from "./matmul.js";
import { softmax } from "./normalize.js";
import { sum } from "./reduce.js";

type Attention = [query: Tensor, key: Tensor, value: Tensor];

function weights([query, key]: Readonly<Attention>, scale: number): Tensor {
  return softmax(mul(matmul(query, swapLast(key)), scale), { axis: 2 });
}

/**
 * softmax(scale * query key^T) value in one operator: [B, L, D], [B, S, D], [B, S, E] -> [B, L, E]. ONNX Runtime's MultiHeadAttention
 * with one head in a session of the CPU, where it holds no [L, S]; elsewhere the operators that it stands for.
 * The scale is not 0, which to ONNX Runtime means D^-1/2.
 */
export const fusedAttention: Op<Attention, { scale: number }> = defineOp("fusedAttention", {
  type: ([query, key, value], { scale }) => {
    requireFloats([query, key, value]);
    for (const [what, tensor] of Object.entries({ query, key, value })) requireRank(tensor, 3, what);
    const [[batch, length, width], [keyBatch, keyLength, keyWidth]] = [query.shape, key.shape] as const;
    const fits = batch === keyBatch && width === keyWidth;
    if (!fits || value.shape[0] !== batch || value.shape[1] !== keyLength) {
      throw new ShapeError(
        `operands must be [B, L, D], [B, S, D], [B, S, E], found ${[query, key, value].map(({ shape }) => formatShape(shape)).join(", ")}`,
      );
    }
    if (!Number.isFinite(scale) || scale === 0)
      throw new ShapeError(`scale must be a number other than 0, found ${scale}`);
    return { shape: [batch!, length!, value.shape[2]!], dtype: "float32" };
  },
  onnx: (emit, [query, key, value], { attributes: { scale } }) => {
    if (emit.target.kind === "cpu") {
      const attributes = { num_heads: { int: 1 }, scale: { float: scale } };
      return emit.node("MultiHeadAttention", [query!, key!, value!], attributes, "com.microsoft");
    }
    const factor = emit.constant({ dtype: "float32", shape: [], data: Float32Array.of(scale) });
    const transposed = emit.node("Transpose", [key!], { perm: { ints: [0, 2, 1] } });
    const scores = emit.node("Mul", [emit.node("MatMul", [query!, transposed]), factor]);
    return emit.node("MatMul", [emit.node("Softmax", [scores], { axis: { int: 2 } }), value!]);
  },
  gradient: ({ inputs, attributes: { scale }, cotangent: dy }) => {
    const [query, key, value] = inputs;
    const w = weights(inputs, scale);
    const scores = () => {
      const dw = matmul(dy, swapLast(value));
      return mul(mul(w, sub(dw, sum(mul(dw, w), { axes: [2] }))), scale);
    };
    return [
      () => matmul(scores(), key),
      () => matmul(swapLast(scores()), query),
      () => matmul(swapLast(w), dy),
    ];
  },
  macs: ({ inputs: [query, key, value] }) =>
    elementCount(concreteShape(query.shape)) * key.size(1) +
    elementCount(concreteShape(value.shape)) * query.size(1),
  samples: [
    {
      inputs: [
        [2, 3, 4],
        [2, 5, 4],
        [2, 5, 2],
      ],
      attributes: { scale: 0.5 },
    },
  ],
});
