import { elementCount } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats } from "../graph/operator.js";
import { broadcastShapes, concreteShape, formatShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { add } from "./arithmetic.js";
import { cpuForms } from "./cpu-forms.js";
import { reshape, transpose } from "./shape.js";

/** Attributes of a matrix product. */
export interface MatmulAttributes {
  /** Part of the multiply-accumulates that count as its cost, 1 by default: where only some of the results are used. */
  readonly share?: number;
}

/** Matrix product of the last two axes; axes before them broadcast: [..., M, K] x [..., K, N] -> [..., M, N]. ONNX MatMul-13. */
export const matmul: Op<[a: Tensor, b: Tensor], MatmulAttributes> = defineOp("matmul", {
  type: ([a, b]) => {
    requireFloats([a, b]);
    if (a.rank < 2 || b.rank < 2) throw new ShapeError("operands must have rank 2 or more");
    const [inner, rows] = [a.shape.at(-1)!, b.shape.at(-2)!];
    if (inner !== rows)
      throw new ShapeError(`columns of the left operand (${inner}) must equal rows of the right (${rows})`);
    const outer = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
    return { shape: [...outer, a.shape.at(-2)!, b.shape.at(-1)!], dtype: "float32" };
  },
  onnx: (emit, names, { inputs }) =>
    cpuForms(emit)?.product(emit, { names, inputs }) ?? emit.node("MatMul", names),
  gradient: ({ inputs: [a, b], attributes, cotangent: dy }) => [
    () => matmul(dy, swapLast(b), attributes),
    // A matrix shared by all rows: one product over all rows at once instead of a sum of products.
    () =>
      b.rank === 2 && a.rank > 2
        ? matmul(transpose(rows(a)), rows(dy), attributes)
        : matmul(swapLast(a), dy, attributes),
  ],
  broadcasts: true,
  macs: ({ inputs: [a], attributes: { share = 1 }, output }) =>
    Math.round(elementCount(concreteShape(output.shape)) * a.size(-1) * share),
  samples: [
    {
      inputs: [
        [3, 4],
        [4, 2],
      ],
    },
    {
      inputs: [
        [2, 3, 4],
        [4, 2],
      ],
    },
    {
      inputs: [
        [2, 1, 3, 2],
        [3, 2, 2],
      ],
    },
    {
      inputs: [
        [3, 2],
        [2, 2, 2],
      ],
    },
    {
      inputs: [
        [2, 3, 1],
        [1, 4],
      ],
    },
  ],
});

/** All rows of the last axis as one matrix. */
function rows(x: Tensor): Tensor {
  return reshape(x, { shape: [-1, x.size(-1)] });
}

/** The last two axes exchanged. */
export function swapLast(x: Tensor): Tensor {
  if (x.rank < 2) throw new ShapeError(`swapLast needs rank 2 or more, found ${formatShape(x.shape)}`);
  const perm = x.shape.map((_, axis) => axis);
  return transpose(x, { perm: [...perm.slice(0, -2), x.rank - 1, x.rank - 2] });
}

/** Affine map of the last axis: x W^T + b, weight [out, in] as in PyTorch. */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor): Tensor {
  const product = matmul(x, transpose(weight));
  return bias ? add(product, bias) : product;
}
