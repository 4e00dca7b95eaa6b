import { elementCount } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats, requireRank } from "../graph/operator.js";
import { concreteShape, formatShape, type Shape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { add, mul } from "./arithmetic.js";
import { gradients } from "./gradients.js";
import { matmul, swapLast } from "./matmul.js";
import { reshapeNode } from "./nodes.js";
import { softmax } from "./normalize.js";
import { reshape, slice, transpose } from "./shape.js";

type Operands = [x: Tensor, weight: Tensor, bias: Tensor];

interface Attributes {
  readonly heads: number;
  readonly scale: number;
}

/** The operators that it stands for. */
function unfused([x, weight, bias]: Readonly<Operands>, { heads, scale }: Attributes): Tensor {
  const projected = add(matmul(x, weight), bias);
  const width = weight.size(1) / 3;
  const [query, key, value] = [0, 1, 2].map((part) => {
    const columns = slice(projected, { axes: [2], starts: [part * width], ends: [(part + 1) * width] });
    const split = reshape(columns, { shape: [-1, x.size(1), heads, width / heads] });
    return transpose(split, { perm: [0, 2, 1, 3] });
  }) as [Tensor, Tensor, Tensor];
  const weights = softmax(mul(matmul(query, swapLast(key)), scale), { axis: 3 });
  const joined = transpose(matmul(weights, value), { perm: [0, 2, 1, 3] });
  return reshape(joined, { shape: [-1, x.size(1), width] });
}

/**
 * Self-attention of several heads with the projections of query, key and value, whose columns follow each other, in one operator:
 * [B, L, C], [C, 3 A], [3 A] -> [B, L, A]. ONNX Runtime's Attention in a session of the CPU, elsewhere the operators that it stands for.
 * The scale is not 0, which to ONNX Runtime means D^-1/2.
 */
export const fusedSelfAttention: Op<Operands, Attributes> = defineOp("fusedSelfAttention", {
  type: ([x, weight, bias], { heads, scale }) => {
    requireFloats([x, weight, bias]);
    requireRank(x, 3, "x");
    requireRank(weight, 2, "weight");
    const [inputs, columns] = weight.shape as Shape & readonly [number, number];
    const fits = inputs === x.shape[2] && bias.rank === 1 && bias.shape[0] === columns;
    if (!fits || columns % (3 * heads) !== 0) {
      throw new ShapeError(
        `operands must be [B, L, C], [C, 3 A], [3 A], A a multiple of ${heads} heads, found ${[x, weight, bias].map(({ shape }) => formatShape(shape)).join(", ")}`,
      );
    }
    if (!Number.isFinite(scale) || scale === 0)
      throw new ShapeError(`scale must be a number other than 0, found ${scale}`);
    return { shape: [x.shape[0]!, x.shape[1]!, columns / 3], dtype: "float32" };
  },
  onnx: (emit, [x, weight, bias], { inputs, attributes: { heads, scale }, output }) => {
    if (emit.target.kind === "cpu") {
      const attributes = { num_heads: { int: heads }, scale: { float: scale } };
      return emit.node("Attention", [x!, weight!, bias!], attributes, "com.microsoft");
    }
    const [length, width] = [inputs[0].size(1), output.size(2)];
    const projected = emit.node("Add", [emit.node("MatMul", [x!, weight!]), bias!]);
    const parts = reshapeNode(emit, projected, [-1, length, 3, heads, width / heads]);
    const part = (index: number, perm: readonly number[]) => {
      const at = emit.constant({ dtype: "int64", shape: [], data: BigInt64Array.of(BigInt(index)) });
      const columns = emit.node("Gather", [parts, at], { axis: { int: 2 } });
      return emit.node("Transpose", [columns], { perm: { ints: [...perm] } });
    };
    const factor = emit.constant({ dtype: "float32", shape: [], data: Float32Array.of(scale) });
    const scores = emit.node("MatMul", [part(0, [0, 2, 1, 3]), part(1, [0, 2, 3, 1])]);
    const weights = emit.node("Softmax", [emit.node("Mul", [scores, factor])], { axis: { int: 3 } });
    const joined = emit.node("Transpose", [emit.node("MatMul", [weights, part(2, [0, 2, 1, 3])])], {
      perm: { ints: [0, 2, 1, 3] },
    });
    return reshapeNode(emit, joined, [-1, length, width]);
  },
  gradient: ({ inputs, attributes, cotangent }) => {
    let slopes: readonly Tensor[] | undefined;
    const slope = (index: number) => {
      slopes ??= gradients(unfused(inputs, attributes), inputs, { cotangent });
      return slopes[index]!;
    };
    return [() => slope(0), () => slope(1), () => slope(2)];
  },
  macs: ({ inputs: [x, weight], output }) => {
    const rows = elementCount(concreteShape(x.shape.slice(0, 2)));
    return rows * weight.size(0) * weight.size(1) + 2 * rows * x.size(1) * output.size(2);
  },
  samples: [{ inputs: [[2, 3, 5], [5, 12], [12]], attributes: { heads: 2, scale: 0.5 } }],
});
