import { ShapeError } from "../base/errors.js";
import { constant } from "../graph/constant.js";
import { defineOp, type Op, requireDType } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { mul } from "./arithmetic.js";
import { spatialSizes } from "./conv.js";
import { emitPool } from "./cpu-forms.js";
import { scatterWindows } from "./scatter-windows.js";
import { normalizeWindow, type PerAxis, type Window, windowCounts } from "./window.js";

/** Attributes of an average over sliding windows. */
export interface AveragePoolAttributes {
  readonly kernel: readonly number[];
  /** The kernel by default: windows side by side. */
  readonly stride?: PerAxis;
  /** Zeros around the input, at most half of the kernel; none by default. */
  readonly padding?: PerAxis;
  /** Divides by the elements of a window inside of input and padding (default), or inside of the input alone. */
  readonly countIncludePad?: boolean;
  /** Keeps a last window that starts inside of the input or its padding before and reaches over the end; false by default. */
  readonly ceilMode?: boolean;
}

type AverageWindow = Window & Required<AveragePoolAttributes>;

/** The windows along one axis. */
interface AxisWindows {
  readonly begin: number;
  /** Padding that the last window needs. */
  readonly end: number;
  /** What the sum of each window is divided by. */
  readonly divisors: readonly number[];
}

/** Lays out the windows along each spatial axis, by PyTorch's rules. @throws ShapeError */
function layOut(x: Tensor, window: AverageWindow): AxisWindows[] {
  const { kernel, stride, padding, countIncludePad, ceilMode } = window;
  const sizes = spatialSizes(x);
  const axes = sizes.length;
  // A last window that is cut off is one that fits with up to stride - 1 further elements.
  const reach = padding.map(
    (count, side) => count + (ceilMode && side >= axes ? stride[side - axes]! - 1 : 0),
  );
  const counts = windowCounts(sizes, kernel, { ...window, padding: reach });
  if (padding.some((count, side) => 2 * count > kernel[side % axes]!)) {
    throw new ShapeError(
      `padding [${padding.join(", ")}] must be at most half of kernel [${kernel.join(", ")}]`,
    );
  }
  return sizes.map((size, axis) => {
    const [extent, step, begin] = [kernel[axis]!, stride[axis]!, padding[axis]!];
    const last = (counts[axis]! - 1) * step >= size + begin ? counts[axis]! - 2 : counts[axis]! - 1;
    const divisors = Array.from({ length: last + 1 }, (_, position) => {
      const start = position * step - begin;
      if (countIncludePad) return Math.min(start + extent, size + padding[axes + axis]!) - start;
      return Math.min(start + extent, size) - Math.max(start, 0);
    });
    return { begin, end: Math.max(0, last * step - begin + extent - size), divisors };
  });
}

/** numerator / divisor of each window, as [1, 1, ...windows]; a single number where all are equal. */
function quotients(axes: readonly AxisWindows[], numerator: number): { shape: number[]; data: Float32Array } {
  const products = axes.reduce<number[]>(
    (all, { divisors }) => all.flatMap((product) => divisors.map((divisor) => product * divisor)),
    [1],
  );
  if (products.every((product) => product === products[0])) {
    return { shape: [], data: Float32Array.of(numerator / products[0]!) };
  }
  const data = Float32Array.from(products, (product) => numerator / product);
  return { shape: [1, 1, ...axes.map(({ divisors }) => divisors.length)], data };
}

/**
 * Mean over sliding windows: [N, C, ...] -> [N, C, ...], with PyTorch's rules for padding and cut-off windows. ONNX AveragePool-11,
 * always with explicit padding, and its quotient corrected where a window is cut off and padding counts.
 */
export const averagePool: Op<[x: Tensor], AveragePoolAttributes> = defineOp("averagePool", {
  normalize: ({ kernel, stride = kernel, padding = 0, countIncludePad = true, ceilMode = false }, [x]) => {
    if (kernel.length !== x.rank - 2) throw new ShapeError(`kernel must have ${x.rank - 2} sizes`);
    return { kernel, countIncludePad, ceilMode, ...normalizeWindow({ stride, padding }, x.rank - 2) };
  },
  type: ([x], attributes) => {
    requireDType(x, "float32", "input");
    const counts = layOut(x, attributes as AverageWindow).map(({ divisors }) => divisors.length);
    return { shape: [x.shape[0]!, x.shape[1]!, ...counts], dtype: "float32" };
  },
  onnx: (emit, [x], { inputs, attributes }) => {
    const { kernel, stride, countIncludePad } = attributes as AverageWindow;
    const axes = layOut(inputs[0], attributes as AverageWindow);
    const pooled = emitPool(emit, "AveragePool", x!, inputs[0], {
      kernel_shape: { ints: kernel },
      strides: { ints: stride },
      pads: { ints: [...axes.map(({ begin }) => begin), ...axes.map(({ end }) => end)] },
      count_include_pad: { int: countIncludePad ? 1 : 0 },
    });
    if (!countIncludePad) return pooled;
    const { shape, data } = quotients(
      axes,
      kernel.reduce((area, size) => area * size, 1),
    );
    if (data.every((value) => value === 1)) return pooled;
    return emit.node("Mul", [pooled, emit.constant({ dtype: "float32", shape, data })]);
  },
  gradient: ({ inputs: [x], attributes, cotangent: dy }) => [
    () => {
      const { kernel, stride, padding } = attributes as AverageWindow;
      const { shape, data } = quotients(layOut(x, attributes as AverageWindow), 1);
      // All elements of a window get the same share, so the axes are placed one after the other.
      return kernel.reduce(
        (share, size, axis) =>
          scatterWindows(Array<Tensor>(size).fill(share), {
            axis: axis + 2,
            stride: stride[axis]!,
            dilation: 1,
            padding: padding[axis]!,
            length: x.size(axis + 2),
          }),
        mul(dy, constant(data, { shape })),
      );
    },
  ],
  macs: 0,
  samples: [
    { inputs: [[1, 2, 5, 4]], attributes: { kernel: [3, 2], stride: 2, padding: 1 } },
    {
      inputs: [[1, 2, 5, 4]],
      attributes: { kernel: [3, 2], stride: 2, padding: 1, ceilMode: true, countIncludePad: false },
    },
    {
      inputs: [[1, 2, 4, 6]],
      attributes: { kernel: [3, 3], stride: [2, 3], padding: [1, 0], ceilMode: true },
    },
    { inputs: [[2, 2, 7]], attributes: { kernel: [2] } },
    { inputs: [[2, 2, 3]], attributes: { kernel: [2], stride: 4, ceilMode: true } },
    { inputs: [[1, 1, 2, 4, 3]], attributes: { kernel: [1, 2, 2], stride: 1 } },
  ],
});
