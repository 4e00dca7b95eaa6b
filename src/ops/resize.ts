import { ShapeError } from "../base/errors.js";
import type { Emitter } from "../graph/emitter.js";
import { defineOp, type Op, requireFloats } from "../graph/operator.js";
import { normalizeAxis } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { emitAxisProduct, type FixedMatrix, sparseMatrix, transposed } from "./axis-product.js";
import { int64Vector } from "./nodes.js";

/** Options of `interpolate`. */
export interface InterpolateOptions {
  /** New sizes of the spatial axes. */
  readonly size: readonly number[];
  /** `linear` is bilinear over two axes, trilinear over three. */
  readonly mode: "nearest" | "linear";
  /** Of linear interpolation: the first and last elements of input and output coincide; by default their outer edges do. */
  readonly alignCorners?: boolean;
}

/** One axis of a resize. */
interface AxisResize {
  readonly axis: number;
  /** Length before. */
  readonly length: number;
  /** Length after. */
  readonly size: number;
  readonly mode: "nearest" | "linear";
  readonly alignCorners: boolean;
}

/** Where a position of the result lies in the input: element floor(i L / S), or between two elements, as in PyTorch. */
function source(position: number, { length, size, mode, alignCorners }: AxisResize): number {
  if (mode === "nearest") return Math.floor((position * length) / size);
  if (alignCorners) return size > 1 ? (position * (length - 1)) / (size - 1) : 0;
  return Math.min(Math.max(0, ((position + 0.5) * length) / size - 0.5), length - 1);
}

function sources(attributes: AxisResize): number[] {
  return Array.from({ length: attributes.size }, (_, position) => source(position, attributes));
}

/** The resize as a matrix [size, length]: each result is one element, or a mean of two neighbours weighted by their nearness. */
function resizeMatrix(attributes: AxisResize): FixedMatrix {
  const entries = sources(attributes).flatMap((at, position) => {
    const below = Math.floor(at);
    const share = at - below;
    const kept = [position, below, 1 - share] as const;
    return share === 0 ? [kept] : [kept, [position, below + 1, share] as const];
  });
  return sparseMatrix([attributes.size, attributes.length], entries);
}

/** One axis resized by interpolation. ONNX Gather-13 (nearest), MatMul-13 by a fixed matrix (linear): exact, and the same everywhere. */
const resizeAxis: Op<[x: Tensor], AxisResize> = defineOp("resizeAxis", {
  normalize: (attributes, [x]) => ({ ...attributes, axis: normalizeAxis(attributes.axis, x.rank) }),
  type: ([x], { axis, length, size, mode }) => {
    if (mode === "linear") requireFloats([x]);
    if (x.size(axis) !== length)
      throw new ShapeError(`axis ${axis} must be ${length}, found ${x.size(axis)}`);
    if (!(Number.isInteger(size) && size >= 1))
      throw new ShapeError(`size must be an integer >= 1, found ${size}`);
    return { shape: x.shape.with(axis, size), dtype: x.dtype };
  },
  onnx: (emit, [x], { inputs: [input], attributes }) =>
    attributes.mode === "nearest"
      ? emit.node("Gather", [x!, int64Vector(emit, sources(attributes))], { axis: { int: attributes.axis } })
      : emitAxisProduct(emit, x!, { input, axis: attributes.axis, matrix: resizeMatrix(attributes) }),
  gradient: ({ attributes, cotangent: dy }) => [() => resizeAxisGradient(dy, attributes)],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 4]], attributes: { axis: 2, length: 4, size: 7, mode: "linear", alignCorners: true } },
    { inputs: [[2, 5, 2]], attributes: { axis: 1, length: 5, size: 3, mode: "linear", alignCorners: false } },
    {
      inputs: [[1, 2, 3, 2, 2]],
      attributes: { axis: 2, length: 3, size: 5, mode: "linear", alignCorners: false },
    },
    {
      inputs: [[2, 3, 2]],
      attributes: { axis: 1, length: 3, size: 5, mode: "nearest", alignCorners: false },
    },
  ],
});

/** The transpose of `resizeAxis`: each element receives the sum of what was taken from it. ONNX MatMul-13. */
const resizeAxisGradient: Op<[dy: Tensor], AxisResize> = defineOp("resizeAxisGradient", {
  normalize: (attributes, [dy]) => ({ ...attributes, axis: normalizeAxis(attributes.axis, dy.rank) }),
  type: ([dy], { axis, length, size }) => {
    requireFloats([dy]);
    if (dy.size(axis) !== size) throw new ShapeError(`axis ${axis} must be ${size}, found ${dy.size(axis)}`);
    return { shape: dy.shape.with(axis, length), dtype: dy.dtype };
  },
  onnx: (emit: Emitter, [dy], { inputs: [input], attributes }) =>
    emitAxisProduct(emit, dy!, {
      input,
      axis: attributes.axis,
      matrix: transposed(resizeMatrix(attributes)),
    }),
  gradient: ({ attributes, cotangent }) => [() => resizeAxis(cotangent, attributes)],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 7]], attributes: { axis: 2, length: 4, size: 7, mode: "linear", alignCorners: true } },
    {
      inputs: [[1, 2, 5, 2, 2]],
      attributes: { axis: 2, length: 3, size: 5, mode: "nearest", alignCorners: false },
    },
  ],
});

/**
 * Resizes the spatial axes by interpolation, with PyTorch's rules: x [N, C, ...] -> [N, C, ...size].
 * @throws ShapeError for another number of sizes, sizes that are no integers >= 1, or alignCorners with nearest elements
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  const { size: target, mode, alignCorners = false } = options;
  if (target.length !== x.rank - 2) {
    throw new ShapeError(`interpolate: size must have ${x.rank - 2} numbers, found [${target.join(", ")}]`);
  }
  if (alignCorners && mode === "nearest") throw new ShapeError("interpolate: alignCorners needs mode linear");
  return target.reduce((value, size, index) => {
    const axis = index + 2;
    const length = value.size(axis);
    return length === size ? value : resizeAxis(value, { axis, length, size, mode, alignCorners });
  }, x);
}
