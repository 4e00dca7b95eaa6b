import type { Emitter } from "../graph/emitter.js";
import { defineOp, type Op } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { floatLike, mul, neg } from "./arithmetic.js";

type Unary = [x: Tensor];

/** The half turn as a short number, whose multiples are exact, and the rest. */
const halfTurn = [3.140625, Math.PI - 3.140625] as const;

/** Taylor coefficients of sin r / r in r squared; within 6e-8 up to a quarter turn. */
const sineSeries = [1, -1 / 6, 1 / 120, -1 / 5040, 1 / 362880, -1 / 39916800] as const;

/**
 * Sine or cosine on WebGPU, where the built-in functions are only good to 2^-11: the angle's rest against the nearest zero, and the
 * series of the sine there.
 */
function emitSeries(emit: Emitter, x: string, kind: "sin" | "cos"): string {
  const scalar = (value: number) =>
    emit.constant({ dtype: "float32", shape: [], data: Float32Array.of(value) });
  const times = (a: string, value: number) => emit.node("Mul", [a, scalar(value)]);
  const plus = (a: string, value: number) => emit.node("Add", [a, scalar(value)]);
  const turns = times(x, 1 / Math.PI);
  const count = emit.node("Floor", [kind === "sin" ? plus(turns, 0.5) : turns]);
  const zero = kind === "sin" ? count : plus(count, 0.5);
  const rest = halfTurn.reduce((value, part) => emit.node("Sub", [value, times(zero, part)]), x);
  const squared = emit.node("Mul", [rest, rest]);
  const series = sineSeries
    .toReversed()
    .reduce<string | undefined>(
      (sum, coefficient) =>
        sum === undefined ? scalar(coefficient) : plus(emit.node("Mul", [sum, squared]), coefficient),
      undefined,
    )!;
  // Every other zero has the other slope.
  const odd = emit.node("Sub", [count, times(emit.node("Floor", [times(count, 0.5)]), 2)]);
  const slope = kind === "sin" ? plus(times(odd, -2), 1) : plus(times(odd, 2), -1);
  return emit.node("Mul", [emit.node("Mul", [series, rest]), slope]);
}

/** Sine of an angle in radians. ONNX Sin-7. */
export const sin: Op<Unary> = defineOp("sin", {
  type: floatLike,
  onnx: (emit, [x]) => (emit.target.kind === "webgpu" ? emitSeries(emit, x!, "sin") : emit.node("Sin", [x!])),
  gradient: ({ inputs: [x], cotangent: dy }) => [() => mul(dy, cos(x))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});

/** Cosine of an angle in radians. ONNX Cos-7. */
export const cos: Op<Unary> = defineOp("cos", {
  type: floatLike,
  onnx: (emit, [x]) => (emit.target.kind === "webgpu" ? emitSeries(emit, x!, "cos") : emit.node("Cos", [x!])),
  gradient: ({ inputs: [x], cotangent: dy }) => [() => neg(mul(dy, sin(x)))],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});
