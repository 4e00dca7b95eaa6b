import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats } from "../graph/operator.js";
import {
  broadcastShapes,
  concreteShape,
  divideSizes,
  formatShape,
  normalizeAxis,
  type Shape,
  type Size,
  sameShape,
  sizeOf,
} from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { cpuForms } from "./cpu-forms.js";
import { int64Vector, reshapeNode, sliceNode, transposeNode } from "./nodes.js";

type Unary = [x: Tensor];

/** Number of elements before the symbolic axis, or undefined where there is none. */
function rowsBefore(shape: Shape): Size | undefined {
  const axis = shape.findIndex((size) => typeof size !== "number");
  return axis < 0 ? undefined : sizeOf(shape.slice(0, axis));
}

function resolveShape(wanted: readonly Size[], from: Shape): Shape {
  const free = wanted.indexOf(-1);
  const invalid = wanted.find(
    (size) => typeof size === "number" && !(Number.isInteger(size) && size >= 1) && size !== -1,
  );
  if (invalid !== undefined) throw new ShapeError(`sizes must be integers >= 1, or one -1; found ${invalid}`);
  if (free !== wanted.lastIndexOf(-1)) throw new ShapeError("only one size can be -1");
  const total = sizeOf(from);
  let shape: Shape = wanted;
  if (free >= 0) {
    const size = divideSizes(total, sizeOf(wanted.filter((_, axis) => axis !== free)));
    if (size === undefined) throw new ShapeError(`${total} elements cannot fill ${formatShape(wanted)}`);
    shape = wanted.with(free, size);
  }
  if (sizeOf(shape) !== total) throw new ShapeError(`${total} elements cannot fill ${formatShape(shape)}`);
  if (rowsBefore(shape) !== rowsBefore(from)) {
    throw new ShapeError(`from ${formatShape(from)} to ${formatShape(shape)} would mix samples of the batch`);
  }
  return shape;
}

/** The same elements in row-major order under another shape; one size may be -1. ONNX Reshape-14. */
export const reshape: Op<Unary, { shape: readonly Size[] }> = defineOp("reshape", {
  normalize: ({ shape }, [x]) => ({ shape: resolveShape(shape, x.shape) }),
  type: ([x], { shape }) => ({ shape, dtype: x.dtype }),
  onnx: (emit, [x], { inputs, attributes: { shape } }) =>
    sameShape(inputs[0].shape, shape)
      ? x!
      : reshapeNode(
          emit,
          x!,
          shape.map((size) => (typeof size === "number" ? size : -1)),
        ),
  gradient: ({ inputs: [x], cotangent: dy }) => [() => reshape(dy, { shape: x.shape })],
  view: true,
  macs: 0,
  samples: [
    { inputs: [[2, 3, 4]], attributes: { shape: [6, -1] } },
    { inputs: [[2, 3]], attributes: { shape: [2, 1, 3] } },
  ],
});

/** Axes in another order; reversed by default. ONNX Transpose-13. */
export const transpose: Op<Unary, { perm?: readonly number[] }> = defineOp("transpose", {
  normalize: ({ perm }, [x]) => {
    const axes = (perm ?? x.shape.map((_, axis) => x.rank - 1 - axis)).map((axis) =>
      normalizeAxis(axis, x.rank),
    );
    if (axes.length !== x.rank || new Set(axes).size !== x.rank) {
      throw new ShapeError(`perm [${axes.join(", ")}] must name each of ${x.rank} axes once`);
    }
    return { perm: axes };
  },
  type: ([x], { perm }) => ({ shape: perm!.map((axis) => x.shape[axis]!), dtype: x.dtype }),
  onnx: (emit, [x], { inputs, attributes: { perm } }) =>
    perm!.every((axis, index) => axis === index)
      ? x!
      : (cpuForms(emit)?.transpose(emit, { names: [x!], inputs }, perm!) ?? transposeNode(emit, x!, perm!)),
  gradient: ({ attributes: { perm }, cotangent: dy }) => [
    () => transpose(dy, { perm: perm!.map((_, axis) => perm!.indexOf(axis)) }),
  ],
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], attributes: { perm: [2, 0, 1] } }, { inputs: [[2, 3]] }],
});

/** A range per named axis: from `starts` (inclusive) to `ends` (exclusive) in `steps` (1 by default); negative positions count from the end. */
export interface SliceAttributes {
  readonly axes: readonly number[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly steps?: readonly number[];
}

/** Number of positions that a range visits. */
function rangeLength(start: number, end: number, step: number): number {
  return Math.ceil((end - start) / step);
}

/** Part of a tensor. ONNX Slice-13. */
export const slice: Op<Unary, SliceAttributes> = defineOp("slice", {
  normalize: ({ axes, starts, ends, steps = axes.map(() => 1) }, [x]) => {
    const canonical = axes.map((axis) => normalizeAxis(axis, x.rank));
    const lengths = [starts, ends, steps].map((list) => list.length);
    if (new Set(canonical).size !== axes.length || lengths.some((length) => length !== axes.length))
      throw new ShapeError("needs a start, an end and a step for each of its axes, which must differ");
    const absolute = (position: number, index: number) => {
      const size = x.size(canonical[index]!);
      return position < 0 ? position + size : Math.min(position, size);
    };
    return { axes: canonical, starts: starts.map(absolute), ends: ends.map(absolute), steps };
  },
  type: ([x], { axes, starts, ends, steps }) => {
    const shape = [...x.shape];
    axes.forEach((axis, index) => {
      const [start, end, step] = [starts[index]!, ends[index]!, steps![index]!];
      if (!(Number.isInteger(step) && step >= 1))
        throw new ShapeError(`step must be an integer >= 1, found ${step}`);
      if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start < end))
        throw new ShapeError(`range ${start} to ${end} of axis ${axis} is empty`);
      shape[axis] = rangeLength(start, end, step);
    });
    return { shape, dtype: x.dtype };
  },
  onnx: (emit, [x], { attributes }) => sliceNode(emit, x!, attributes as Required<SliceAttributes>),
  gradient: ({ inputs: [x], attributes: { axes, starts, steps }, cotangent: dy }) => [
    () => {
      let result = dy;
      axes.forEach((axis, index) => {
        result = spread(result, { axis, step: steps![index]!, start: starts[index]!, length: x.size(axis) });
      });
      return result;
    },
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 5, 4]], attributes: { axes: [1, 2], starts: [1, 0], ends: [4, 3] } },
    { inputs: [[2, 7]], attributes: { axes: [1], starts: [1], ends: [7], steps: [2] } },
    { inputs: [[2, 7]], attributes: { axes: [-1], starts: [-6], ends: [-1], steps: [3] } },
  ],
});

/** Puts the elements along an axis `step` apart, from `start`, into zeros of the given length: the transpose of a slice. */
export function spread(
  x: Tensor,
  options: { axis: number; step: number; start: number; length: number },
): Tensor {
  const { axis, step, start, length } = options;
  const count = x.size(axis);
  const before = x.shape.slice(0, axis);
  const after = x.shape.slice(axis + 1);
  let result = x;
  if (step > 1) {
    const pads = Array<number>(2 * (x.rank + 1)).fill(0);
    pads[x.rank + 1 + axis + 1] = step - 1;
    const rows = pad(reshape(x, { shape: [...before, count, 1, ...after] }), { pads });
    result = reshape(rows, { shape: [...before, count * step, ...after] });
  }
  return resize(result, { axis, start, length });
}

/** Moves the content along an axis by `start` and cuts it, or fills it with zeros, to the given length. */
export function resize(x: Tensor, options: { axis: number; start: number; length: number }): Tensor {
  const { axis, start, length } = options;
  const kept = Math.min(x.size(axis), length - start);
  const cut = kept < x.size(axis) ? slice(x, { axes: [axis], starts: [0], ends: [kept] }) : x;
  if (kept === length) return cut;
  const pads = Array<number>(2 * x.rank).fill(0);
  pads[axis] = start;
  pads[x.rank + axis] = length - start - kept;
  return pad(cut, { pads });
}

/** The elements along axes in reverse order. ONNX Slice-13 with step -1. */
export const flip: Op<Unary, { axes: readonly number[] }> = defineOp("flip", {
  normalize: ({ axes }, [x]) => ({ axes: axes.map((axis) => normalizeAxis(axis, x.rank)) }),
  type: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
  onnx: (emit, [x], { attributes: { axes } }) =>
    axes.length === 0
      ? x!
      : sliceNode(emit, x!, {
          axes,
          starts: axes.map(() => -1),
          // Before the first element, whatever the size.
          ends: axes.map(() => -(2 ** 31)),
          steps: axes.map(() => -1),
        }),
  gradient: ({ attributes, cotangent: dy }) => [() => flip(dy, attributes)],
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]], attributes: { axes: [0, -1] } }],
});

/** Tensors one after the other along an axis. ONNX Concat-13. */
export const concatOp: Op<Tensor[], { axis: number }> = defineOp("concat", {
  normalize: ({ axis }, [first]) => ({ axis: normalizeAxis(axis, first?.rank ?? 0) }),
  type: (inputs, { axis }) => {
    const [first] = inputs as [Tensor];
    for (const x of inputs) {
      if (x.dtype !== first.dtype)
        throw new ShapeError(`operands must have one dtype, found ${first.dtype} and ${x.dtype}`);
      if (
        x.rank !== first.rank ||
        x.shape.some((size, other) => other !== axis && size !== first.shape[other])
      ) {
        throw new ShapeError(`sizes must be equal on every axis but ${axis}`);
      }
    }
    const sizes = inputs.map((x) => x.shape[axis]!);
    return {
      shape: first.shape.with(axis, inputs.length === 1 ? sizes[0]! : sumOf(concreteShape(sizes))),
      dtype: first.dtype,
    };
  },
  onnx: (emit, inputs, { attributes: { axis } }) => emit.node("Concat", inputs, { axis: { int: axis } }),
  gradient: ({ inputs, attributes: { axis }, cotangent: dy }) => {
    let start = 0;
    return inputs.map((x) => {
      const from = start;
      start += x.size(axis);
      const end = start;
      return () => slice(dy, { axes: [axis], starts: [from], ends: [end] });
    });
  },
  macs: 0,
  samples: [
    {
      inputs: [
        [2, 3, 2],
        [2, 1, 2],
        [2, 2, 2],
      ],
      attributes: { axis: 1 },
    },
    { inputs: [[3]], attributes: { axis: -1 } },
  ],
});

function sumOf(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

/** Tensors one after the other along an axis; they agree on every other axis. */
export function concat(tensors: readonly Tensor[], { axis }: { axis: number }): Tensor {
  if (tensors.length === 0) throw new ShapeError("concat: needs at least one tensor");
  return concatOp.apply(tensors, { axis });
}

/** Tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], { axis }: { axis: number }): Tensor {
  const at = normalizeAxis(axis, (tensors[0]?.rank ?? 0) + 1);
  return concat(
    tensors.map((x) => reshape(x, { shape: x.shape.toSpliced(at, 0, 1) })),
    { axis: at },
  );
}

/** Adds `pads` (begin of every axis, then end of every axis, all >= 0) filled with `value`, 0 by default. ONNX Pad-19. */
export const pad: Op<Unary, { pads: readonly number[]; value?: number }> = defineOp("pad", {
  normalize: ({ pads, value = 0 }) => ({ pads, value }),
  type: ([x], { pads }) => {
    requireFloats([x]);
    if (pads.length !== 2 * x.rank || pads.some((count) => !(Number.isInteger(count) && count >= 0))) {
      throw new ShapeError(`pads must be ${2 * x.rank} integers >= 0, found [${pads.join(", ")}]`);
    }
    const shape = x.shape.map((size, axis) => {
      const added = pads[axis]! + pads[x.rank + axis]!;
      if (added === 0) return size;
      return x.size(axis) + added;
    });
    return { shape, dtype: x.dtype };
  },
  onnx: (emit, [x], { attributes: { pads, value } }) => {
    if (pads.every((count) => count === 0)) return x!;
    const fill = emit.constant({ dtype: "float32", shape: [], data: new Float32Array([value!]) });
    return emit.node("Pad", [x!, int64Vector(emit, pads), fill]);
  },
  gradient: ({ inputs: [x], attributes: { pads }, cotangent: dy }) => [
    () => {
      const axes = x.shape.map((_, axis) => axis).filter((axis) => pads[axis]! + pads[x.rank + axis]! > 0);
      if (axes.length === 0) return dy;
      const starts = axes.map((axis) => pads[axis]!);
      return slice(dy, { axes, starts, ends: axes.map((axis, index) => starts[index]! + x.size(axis)) });
    },
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 3]], attributes: { pads: [0, 1, 2, 3] } },
    { inputs: [[2, 3]], attributes: { pads: [1, 0, 0, 0], value: -2 } },
  ],
});

/** Stretches axes of size 1 to a concrete shape. ONNX Expand-13. */
export const expand: Op<Unary, { shape: readonly Size[] }> = defineOp("expand", {
  type: ([x], { shape }) => {
    if (!sameShape(broadcastShapes(x.shape, shape), shape))
      throw new ShapeError(`cannot stretch to ${formatShape(shape)}`);
    return { shape, dtype: x.dtype };
  },
  onnx: (emit, [x], { inputs, attributes: { shape } }) =>
    sameShape(inputs[0].shape, shape)
      ? x!
      : emit.node("Expand", [x!, int64Vector(emit, concreteShape(shape))]),
  gradient: ({ cotangent: dy }) => [() => dy],
  elementwise: true,
  broadcasts: true,
  macs: 0,
  samples: [{ inputs: [[3, 1]], attributes: { shape: [2, 3, 4] } }],
});
