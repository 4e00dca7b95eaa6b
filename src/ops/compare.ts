import type { DType } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { constant } from "../graph/constant.js";
import { defineOp, type Op, requireDType, type TensorType } from "../graph/operator.js";
import { broadcastShapes } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { emitPair } from "./cpu-forms.js";
import { reshape } from "./shape.js";

type Binary = [a: Tensor, b: Tensor];

function requireOneDType([a, b]: Binary): void {
  if (a.dtype !== b.dtype)
    throw new ShapeError(`operands must have one dtype, found ${a.dtype} and ${b.dtype}`);
}

/** Refuses operands of two dtypes, and bools. */
export function requireNumbers([a, b]: Binary): void {
  requireOneDType([a, b]);
  if (a.dtype === "bool") throw new ShapeError("operands must be numbers, found bool");
}

function ordering([a, b]: Binary): TensorType {
  requireNumbers([a, b]);
  return { shape: broadcastShapes(a.shape, b.shape), dtype: "bool" };
}

const samples = [
  {
    inputs: [
      [2, 3, 4],
      [3, 1],
    ],
  },
] as const;

/** a > b as bool. ONNX Greater-13. */
export const greater: Op<Binary> = defineOp("greater", {
  type: ordering,
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples,
});

/** a >= b as bool. ONNX GreaterOrEqual-16. */
export const greaterOrEqual: Op<Binary> = defineOp("greaterOrEqual", {
  type: ordering,
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples,
});

/** a = b as bool. ONNX Equal-19. */
export const equal: Op<Binary> = defineOp("equal", {
  type: ([a, b]) => {
    requireOneDType([a, b]);
    return { shape: broadcastShapes(a.shape, b.shape), dtype: "bool" };
  },
  onnx: emitPair("Equal"),
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: [
    ...samples,
    {
      inputs: [
        { shape: [2, 3], dtype: "int64", below: 3 },
        { shape: [3], dtype: "int64", below: 3 },
      ],
    },
  ],
});

/** Logical negation of a bool. ONNX Not-1. */
export const not: Op<[x: Tensor]> = defineOp("not", {
  type: ([x]) => {
    requireDType(x, "bool", "operand");
    return { shape: x.shape, dtype: "bool" };
  },
  macs: 0,
  samples: [{ inputs: [{ shape: [2, 3], dtype: "bool" }] }],
});

/** a where the condition holds, else b; with broadcasting. A hidden operand gets no gradient, whatever its value. ONNX Where-16. */
export const where: Op<[condition: Tensor, a: Tensor, b: Tensor]> = defineOp("where", {
  type: ([condition, a, b]) => {
    requireDType(condition, "bool", "condition");
    requireNumbers([a, b]);
    return { shape: broadcastShapes(condition.shape, a.shape, b.shape), dtype: a.dtype };
  },
  gradient: ({ inputs: [condition], cotangent: dy }) => [
    null,
    () => where(condition, dy, 0),
    () => where(condition, 0, dy),
  ],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: [
    { inputs: [{ shape: [2, 3, 4], dtype: "bool" }, [2, 3, 4], [3, 1]] },
    { inputs: [{ shape: [4], dtype: "bool" }, [2, 3, 1], []] },
  ],
});

const onnxTypes: Readonly<Record<DType, number>> = { float32: 1, int64: 7, bool: 9 };

/** The same values in another dtype (float to bool: not equal to 0). Gradients pass from float to float only. ONNX Cast-13. */
export const cast: Op<[x: Tensor], { to: DType }> = defineOp("cast", {
  type: ([x], { to }) => ({ shape: x.shape, dtype: to }),
  onnx: (emit, [x], { attributes }) => emit.node("Cast", [x!], { to: { int: onnxTypes[attributes.to] } }),
  gradient: ({ inputs: [x], attributes: { to }, cotangent: dy }) => [
    x.dtype === "float32" && to === "float32" ? () => dy : null,
  ],
  elementwise: true,
  macs: 0,
  samples: [
    { inputs: [{ shape: [2, 3], dtype: "bool" }], attributes: { to: "float32" } },
    { inputs: [{ shape: [2, 3], dtype: "int64", below: 5 }], attributes: { to: "float32" } },
    { inputs: [[2, 3]], attributes: { to: "float32" } },
  ],
});

/** int64 labels [...] as float32 indicator vectors [..., depth]. */
export function oneHot(labels: Tensor, { depth }: { depth: number }): Tensor {
  const classes = constant(
    Array.from({ length: depth }, (_, index) => index),
    { dtype: "int64" },
  );
  return cast(equal(reshape(labels, { shape: [...labels.shape, 1] }), classes), { to: "float32" });
}
