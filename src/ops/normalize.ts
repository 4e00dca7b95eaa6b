import { ShapeError } from "../base/errors.js";
import { constant } from "../graph/constant.js";
import type { Emitter } from "../graph/emitter.js";
import { defineOp, type Op, requireFloats, type TensorType } from "../graph/operator.js";
import { formatShape, normalizeAxis } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { add, div, exp, floatLike, log, mul, reciprocal, sqrt, square, sub } from "./arithmetic.js";
import { cpuForms } from "./cpu-forms.js";
import { max, mean, sum } from "./reduce.js";
import { reshape } from "./shape.js";

/** Softmax along an axis, the maximum subtracted first. Entries of -infinity get weight 0. ONNX Softmax-13. */
export const softmax: Op<[x: Tensor], { axis: number }> = defineOp("softmax", {
  normalize: ({ axis }, [x]) => ({ axis: normalizeAxis(axis, x.rank) }),
  type: floatLike,
  onnx: (emit, [x], { attributes: { axis }, output }) => {
    if (axis === output.rank - 1) return emit.node("Softmax", [x!], { axis: { int: axis } });
    // The CPU's Softmax on another axis is eight times slower than its parts.
    const axes = emit.constant({ dtype: "int64", shape: [1], data: BigInt64Array.of(BigInt(axis)) });
    const keep = { keepdims: { int: 1 } };
    const weights = emit.node("Exp", [emit.node("Sub", [x!, emit.node("ReduceMax", [x!, axes], keep)])]);
    return emit.node("Div", [weights, emit.node("ReduceSum", [weights, axes], keep)]);
  },
  gradient: ({ attributes: { axis }, output: y, cotangent: dy }) => [
    () => mul(y, sub(dy, sum(mul(dy, y), { axes: [axis] }))),
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 4]], attributes: { axis: -1 } },
    { inputs: [[2, 3, 4]], attributes: { axis: 1 } },
  ],
});

/** Logarithm of the softmax along an axis, without overflow. */
export const logSoftmax: Op<[x: Tensor], { axis: number }> = defineOp("logSoftmax", {
  normalize: ({ axis }, [x]) => ({ axis: normalizeAxis(axis, x.rank) }),
  type: floatLike,
  // LogSoftmax has no WebGPU kernel.
  expand: ([x], { axis }) => {
    const shifted = sub(x, max(x, { axes: [axis] }));
    return sub(shifted, log(sum(exp(shifted), { axes: [axis] })));
  },
  gradient: ({ attributes: { axis }, output: y, cotangent: dy }) => [
    () => sub(dy, mul(exp(y), sum(dy, { axes: [axis] }))),
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 4]], attributes: { axis: -1 } },
    { inputs: [[2, 3]], attributes: { axis: 0 } },
  ],
});

/** Shape [1, C, 1, ...] with which a vector per channel meets a tensor of the given rank. */
export function perChannel(vector: Tensor, rank: number): Tensor {
  return reshape(vector, { shape: [1, -1, ...Array<number>(rank - 2).fill(1)] });
}

/** Axes over which batch statistics are taken: all but the channels. */
function statisticAxes(x: Tensor): number[] {
  return x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
}

function channelType([x, ...vectors]: readonly [Tensor, ...Tensor[]]): TensorType {
  requireFloats([x, ...vectors]);
  if (x.rank < 2) throw new ShapeError(`input must be [N, C, ...], found ${formatShape(x.shape)}`);
  for (const vector of vectors) {
    if (vector.rank !== 1 || vector.shape[0] !== x.shape[1]) {
      throw new ShapeError(`vectors must be [${x.shape[1]}], found ${formatShape(vector.shape)}`);
    }
  }
  return { shape: x.shape, dtype: "float32" };
}

/** BatchNormalization with given statistics, over operands x, scale, shift, mean and variance. */
function emitNormalization(
  emit: Emitter,
  [x, ...vectors]: readonly string[],
  rank: number,
  epsilon: number,
): string {
  const normalize = (value: string) =>
    emit.node("BatchNormalization", [value, ...vectors], { epsilon: { float: epsilon } });
  if (emit.target.kind !== "webgpu" || rank !== 2) return normalize(x!);
  // WebGPU's kernel takes the wrong channels of [N, C] where C is a multiple of four; a third axis keeps it right.
  const axes = emit.constant({ dtype: "int64", shape: [1], data: BigInt64Array.of(2n) });
  return emit.node("Squeeze", [normalize(emit.node("Unsqueeze", [x!, axes])), axes]);
}

type ChannelAffine = [x: Tensor, scale: Tensor, shift: Tensor];

/** x * scale + shift with a scale and a shift per channel (axis 1), in one pass: ONNX BatchNormalization-15 with mean 0, variance 1. */
export const channelAffine: Op<ChannelAffine> = defineOp("channelAffine", {
  type: channelType,
  onnx: (emit, operands, { inputs: [x] }) => {
    const channels = x.size(1);
    const vector = (value: number) =>
      emit.constant({ dtype: "float32", shape: [channels], data: new Float32Array(channels).fill(value) });
    return emitNormalization(emit, [...operands, vector(0), vector(1)], x.rank, 0);
  },
  blocked: (emit, operands, call) => cpuForms(emit)?.affine(emit, operands, call),
  gradient: ({ inputs: [x, scale], cotangent: dy }) => [
    () => mul(dy, perChannel(scale, x.rank)),
    () => sum(mul(dy, x), { axes: statisticAxes(x), keepDims: false }),
    () => sum(dy, { axes: statisticAxes(x), keepDims: false }),
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 2, 2], [3], [3]] },
    { inputs: [[4, 3], [3], [3]] },
    { inputs: [[3, 4], [4], [4]] },
  ],
});

type BatchNorm = [x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor];

/** Normalization with given statistics per channel: (x - mean) / sqrt(variance + epsilon) * scale + bias. ONNX BatchNormalization-15. */
export const batchNorm: Op<BatchNorm, { epsilon: number }> = defineOp("batchNorm", {
  type: channelType,
  onnx: (emit, operands, { inputs: [x], attributes: { epsilon } }) =>
    emitNormalization(emit, operands, x.rank, epsilon),
  gradient: ({ inputs: [x, scale, , center, spread], attributes: { epsilon }, cotangent: dy }) => {
    const inverse = reciprocal(sqrt(add(spread, epsilon)));
    const axes = statisticAxes(x);
    const centered = () => sub(x, perChannel(center, x.rank));
    const total = (values: Tensor) => sum(values, { axes, keepDims: false });
    const slope = () => mul(total(mul(dy, centered())), inverse);
    return [
      () => mul(dy, perChannel(mul(scale, inverse), x.rank)),
      slope,
      () => total(dy),
      () => mul(total(dy), mul(mul(scale, inverse), -1)),
      () => mul(mul(slope(), mul(scale, square(inverse))), -0.5),
    ];
  },
  macs: 0,
  samples: [
    {
      inputs: [[2, 3, 2, 2], [3], [3], [3], { shape: [3], domain: "positive" }],
      attributes: { epsilon: 1e-5 },
    },
    {
      inputs: [[3, 4], [4], [4], [4], { shape: [4], domain: "positive" }],
      attributes: { epsilon: 1e-5 },
    },
  ],
});

/** Mean [1, C, 1, ...], centered values and biased variance [1, C, 1, ...] over all axes but the channels. */
export function batchMoments(x: Tensor): { mean: Tensor; centered: Tensor; variance: Tensor } {
  const axes = statisticAxes(x);
  const center = mean(x, { axes });
  const centered = sub(x, center);
  return { mean: center, centered, variance: mean(square(centered), { axes }) };
}

type BatchNormTraining = [x: Tensor, scale: Tensor, bias: Tensor];

/**
 * Normalization with the statistics of the batch itself (biased variance), over all axes but the channels.
 * Ioffe, Szegedy: Batch Normalization, ICML 2015, arXiv:1502.03167, algorithm 1. Its gradient is written in the centered values that
 * the forward pass keeps anyway: two passes less than the chain rule, and exact for means far from zero.
 */
export const batchNormTraining: Op<BatchNormTraining, { epsilon: number }> = defineOp("batchNormTraining", {
  type: channelType,
  expand: ([x, scale, bias], { epsilon }) => {
    const { centered, variance } = batchMoments(x);
    return channelAffine(centered, mul(scale, inverseDeviation(variance, epsilon)), bias);
  },
  gradient: ({ inputs: [x, scale], attributes: { epsilon }, cotangent: dy }) => {
    const { centered, variance } = batchMoments(x);
    const inverse = inverseDeviation(variance, epsilon);
    const axes = statisticAxes(x);
    const count = axes.reduce((product, axis) => product * x.size(axis), 1);
    const shift = mean(dy, { axes, keepDims: false });
    const slope = mean(mul(dy, centered), { axes, keepDims: false });
    return [
      () => {
        const explained = channelAffine(centered, mul(slope, square(inverse)), shift);
        return mul(sub(dy, explained), perChannel(mul(scale, inverse), x.rank));
      },
      () => mul(mul(slope, inverse), count),
      () => mul(shift, count),
    ];
  },
  macs: 0,
  samples: [
    { inputs: [[3, 2, 2, 2], [2], [2]], attributes: { epsilon: 1e-5 } },
    { inputs: [[6, 3], [3], [3]], attributes: { epsilon: 1e-3 } },
  ],
});

/** 1 / sqrt(variance + epsilon) as a vector per channel. */
function inverseDeviation(variance: Tensor, epsilon: number): Tensor {
  return div(1, sqrt(add(reshape(variance, { shape: [-1] }), constant(epsilon))));
}
