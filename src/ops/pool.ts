import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats } from "../graph/operator.js";
import { normalizeAxis } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { mul, sub } from "./arithmetic.js";
import { emitAxisProduct, type FixedMatrix, transposed } from "./axis-product.js";
import { cast, equal } from "./compare.js";
import { spatialSizes } from "./conv.js";
import { emitPool } from "./cpu-forms.js";
import { scatterWindows } from "./scatter-windows.js";
import { pad, slice } from "./shape.js";
import { normalizeWindow, type Window, type WindowAttributes, windowCounts } from "./window.js";

/** Attributes of a pooling window. */
export interface PoolAttributes extends WindowAttributes {
  readonly kernel: readonly number[];
}

type PoolWindow = Window & { readonly kernel: readonly number[] };

/**
 * Maximum over sliding windows: [N, C, ...] -> [N, C, ...]; padding never wins. Of equal elements the first one of a window (row
 * by row) gets the gradient. ONNX MaxPool-12.
 */
export const maxPool: Op<[x: Tensor], PoolAttributes> = defineOp("maxPool", {
  normalize: (attributes, [x]) => {
    if (attributes.kernel.length !== x.rank - 2) throw new ShapeError(`kernel must have ${x.rank - 2} sizes`);
    return { kernel: attributes.kernel, ...normalizeWindow(attributes, x.rank - 2) };
  },
  type: ([x], attributes) => {
    requireFloats([x]);
    const { kernel, padding } = attributes as PoolWindow;
    const counts = windowCounts(spatialSizes(x), kernel, attributes as PoolWindow);
    if (padding.some((count, side) => count >= kernel[side % kernel.length]!))
      throw new ShapeError(
        `padding [${padding.join(", ")}] must be smaller than kernel [${kernel.join(", ")}]`,
      );
    return { shape: [x.shape[0]!, x.shape[1]!, ...counts], dtype: "float32" };
  },
  onnx: (emit, [x], { inputs, attributes }) => {
    const { kernel, stride, padding, dilation } = attributes as PoolWindow;
    return emitPool(emit, "MaxPool", x!, inputs[0], {
      kernel_shape: { ints: kernel },
      strides: { ints: stride },
      pads: { ints: padding },
      dilations: { ints: dilation },
    });
  },
  gradient: ({ inputs: [x], attributes, output: y, cotangent: dy }) => [
    () => routeToFirstMaximum(x, y, dy, attributes as PoolWindow),
  ],
  macs: 0,
  samples: [
    {
      inputs: [[1, 2, 5, 4]],
      attributes: { kernel: [3, 2], stride: 2, padding: [1, 0] },
      domain: { distinct: 0.1 },
    },
    { inputs: [[2, 2, 6]], attributes: { kernel: [2], dilation: 2 }, domain: { distinct: 0.1 } },
  ],
});

/**
 * Elements of all windows by their place in the window, row by row: an image per place. Axes are cut one after the other, the last one
 * first, so that most cuts copy whole rows.
 */
function windowElements(x: Tensor, counts: readonly number[], window: PoolWindow): Tensor[] {
  const { kernel, stride, dilation } = window;
  return kernel.reduceRight<Tensor[]>(
    (images, size, axis) =>
      Array.from({ length: size }, (_, index) => {
        const start = index * dilation[axis]!;
        const end = start + (counts[axis]! - 1) * stride[axis]! + 1;
        const cut = { axes: [axis + 2], starts: [start], ends: [end], steps: [stride[axis]!] };
        return images.map((image) => slice(image, cut));
      }).flat(),
    [x],
  );
}

function routeToFirstMaximum(x: Tensor, y: Tensor, dy: Tensor, window: PoolWindow): Tensor {
  const { kernel, stride, padding, dilation } = window;
  const begin = padding.slice(0, kernel.length);
  const end = padding.slice(kernel.length);
  const padded = pad(x, { pads: [0, 0, ...begin, 0, 0, ...end], value: Number.NEGATIVE_INFINITY });
  // What no earlier element of the window has taken.
  let rest = dy;
  const shares = windowElements(padded, spatialSizes(y), window).map((element) => {
    const share = mul(cast(equal(element, y), { to: "float32" }), rest);
    rest = sub(rest, share);
    return share;
  });
  const sizes = spatialSizes(x);
  return scatterAxes(shares, 0);

  /** Adds up shares, ordered by offset, at their elements; `axis` is the spatial axis that is placed next. */
  function scatterAxes(list: readonly Tensor[], axis: number): Tensor {
    const [only] = list;
    if (axis === kernel.length) return only!;
    const perOffset = list.length / kernel[axis]!;
    const rows = Array.from({ length: kernel[axis]! }, (_, index) =>
      scatterAxes(list.slice(index * perOffset, (index + 1) * perOffset), axis + 1),
    );
    return scatterWindows(rows, {
      axis: axis + 2,
      stride: stride[axis]!,
      dilation: dilation[axis]!,
      padding: begin[axis]!,
      length: sizes[axis]!,
    });
  }
}

/** Attributes of an average over bins of an axis. */
interface BinAttributes {
  readonly axis: number;
  /** Number of bins. */
  readonly bins: number;
  /** Length of the axis that is divided. */
  readonly length: number;
}

/** Row `bin` holds 1/width at the positions of the bin: floor(bin L / bins) to ceil((bin + 1) L / bins), which may overlap. */
function binMatrix({ bins, length }: BinAttributes): FixedMatrix {
  const data = new Float32Array(bins * length);
  for (let bin = 0; bin < bins; bin++) {
    const start = Math.floor((bin * length) / bins);
    const end = Math.ceil(((bin + 1) * length) / bins);
    data.fill(1 / (end - start), bin * length + start, bin * length + end);
  }
  return { to: bins, from: length, data };
}

function normalizeBins(attributes: BinAttributes, x: Tensor): BinAttributes {
  return { ...attributes, axis: normalizeAxis(attributes.axis, x.rank) };
}

/** Mean over each bin of an axis: adaptive average pooling of one axis. Bins of a length that they do not divide overlap. */
const averageBins: Op<[x: Tensor], BinAttributes> = defineOp("averageBins", {
  normalize: (attributes, [x]) => normalizeBins(attributes, x),
  type: ([x], { axis, bins, length }) => {
    requireFloats([x]);
    if (!(Number.isInteger(bins) && bins >= 1))
      throw new ShapeError(`bins must be an integer >= 1, found ${bins}`);
    if (x.size(axis) !== length)
      throw new ShapeError(`axis ${axis} must be ${length}, found ${x.size(axis)}`);
    return { shape: x.shape.with(axis, bins), dtype: "float32" };
  },
  onnx: (emit, [x], { inputs: [input], attributes }) =>
    emitAxisProduct(emit, x!, { input, axis: attributes.axis, matrix: binMatrix(attributes) }),
  gradient: ({ attributes, cotangent: dy }) => [() => spreadBins(dy, attributes)],
  macs: 0,
  samples: [
    { inputs: [[2, 5, 7]], attributes: { axis: 2, bins: 3, length: 7 } },
    { inputs: [[2, 5, 4]], attributes: { axis: 1, bins: 2, length: 5 } },
    { inputs: [[1, 3, 2]], attributes: { axis: 1, bins: 8, length: 3 } },
    { inputs: [[2, 5, 2, 3]], attributes: { axis: 1, bins: 2, length: 5 } },
  ],
});

/** The transpose of averageBins: spreads each bin's value over its positions, divided by its width. */
const spreadBins: Op<[y: Tensor], BinAttributes> = defineOp("spreadBins", {
  normalize: (attributes, [y]) => normalizeBins(attributes, y),
  type: ([y], { axis, bins, length }) => {
    requireFloats([y]);
    if (y.size(axis) !== bins) throw new ShapeError(`axis ${axis} must be ${bins}, found ${y.size(axis)}`);
    return { shape: y.shape.with(axis, length), dtype: "float32" };
  },
  onnx: (emit, [y], { inputs: [input], attributes }) =>
    emitAxisProduct(emit, y!, { input, axis: attributes.axis, matrix: transposed(binMatrix(attributes)) }),
  gradient: ({ attributes, cotangent: dy }) => [() => averageBins(dy, attributes)],
  macs: 0,
  samples: [
    { inputs: [[2, 5, 3]], attributes: { axis: 2, bins: 3, length: 7 } },
    { inputs: [[2, 2, 4]], attributes: { axis: 1, bins: 2, length: 5 } },
  ],
});

/** Average pooling to a given output size, with PyTorch's bins: [N, C, H, W] -> [N, C, ...size]. */
export function adaptiveAveragePool2d(x: Tensor, size: readonly [number, number]): Tensor {
  const rows = averageBins(x, { axis: 2, bins: size[0], length: x.size(2) });
  return averageBins(rows, { axis: 3, bins: size[1], length: x.size(3) });
}
