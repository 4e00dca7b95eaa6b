import { elementCount } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { requireFloats } from "../graph/operator.js";
import { concreteShape, formatShape, isConcrete } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { activeTrace } from "../graph/trace.js";
import { add } from "./arithmetic.js";
import { conv, spatialSizes } from "./conv.js";
import { matmul } from "./matmul.js";
import { pad, reshape, slice, stack } from "./shape.js";
import { normalizeWindow, type WindowAttributes, windowCounts } from "./window.js";

/** Attributes of a window that slides over the spatial axes. */
export interface UnfoldAttributes extends WindowAttributes {
  readonly kernel: readonly number[];
}

/**
 * The elements under every position of a sliding window, zeros in the padding: x [N, C, ...] -> [N, C, ...kernel, ...positions].
 * With kernel and positions flattened these are the columns of PyTorch's unfold (im2col). Made of strided slices, one axis after the
 * other, so that k + k of them do for a k x k window; the gradient adds up the overlaps.
 * @throws ShapeError for a window that does not fit
 */
export function unfold(x: Tensor, attributes: UnfoldAttributes): Tensor {
  requireFloats([x]);
  const axes = x.rank - 2;
  if (axes < 1) throw new ShapeError(`unfold: input must be [N, C, ...], found ${formatShape(x.shape)}`);
  const { kernel } = attributes;
  const { stride, padding, dilation } = normalizeWindow(attributes, axes);
  const counts = windowCounts(spatialSizes(x), kernel, { stride, padding, dilation });
  const padded = padding.some((count) => count > 0)
    ? pad(x, { pads: [0, 0, ...padding.slice(0, axes), 0, 0, ...padding.slice(axes)] })
    : x;
  return kernel.reduce((value, size, done) => {
    // Before it lie N, C, the kernel axes made so far and their positions.
    const axis = 2 + 2 * done;
    const step = stride[done]!;
    const reach = (counts[done]! - 1) * step + 1;
    const positions = Array.from({ length: size }, (_, index) => {
      const start = index * dilation[done]!;
      return slice(value, { axes: [axis], starts: [start], ends: [start + reach], steps: [step] });
    });
    return stack(positions, { axis: 2 + done });
  }, padded);
}

/** Attributes of `convPerSample`. */
export interface ConvPerSampleAttributes extends UnfoldAttributes {
  readonly groups?: number;
}

/**
 * Cross-correlation with filters of its own for every sample: x [N, C, ...], weight [N, K, C/groups * kernel elements] (the
 * kernel's elements row by row), bias [N, K] -> [N, K, ...].
 * @throws ShapeError
 */
export function convPerSample(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  attributes: ConvPerSampleAttributes,
): Tensor {
  const { groups = 1, ...window } = attributes;
  const [channels, filters] = [x.size(1), weight.size(1)];
  if (channels % groups !== 0 || filters % groups !== 0) {
    throw new ShapeError(
      `convPerSample: channels ${channels} and filters ${filters} must be divisible by groups ${groups}`,
    );
  }
  const columns = (channels / groups) * window.kernel.reduce((count, size) => count * size, 1);
  if (weight.rank !== 3 || weight.size(2) !== columns || weight.shape[0] !== x.shape[0]) {
    const expected = formatShape([x.shape[0]!, filters, columns]);
    throw new ShapeError(`convPerSample: weight must be ${expected}, found ${formatShape(weight.shape)}`);
  }
  const y =
    isConcrete(x.shape) && !activeTrace()?.training
      ? mergedSamples(x, weight, { ...window, groups })
      : productOfWindows(x, weight, { ...window, groups });
  return bias ? add(y, reshape(bias, { shape: [-1, filters, ...window.kernel.map(() => 1)] })) : y;
}

type PerSample = (
  x: Tensor,
  weight: Tensor,
  attributes: ConvPerSampleAttributes & { readonly groups: number },
) => Tensor;

/** One convolution with a group for each sample's groups: nothing is unfolded, but its gradients are slower than those of a product. */
const mergedSamples: PerSample = (x, weight, { kernel, groups, ...window }) => {
  const [samples, channels, filters] = [x.size(0), x.size(1), weight.size(1)];
  const y = conv(
    reshape(x, { shape: [1, samples * channels, ...x.shape.slice(2)] }),
    reshape(weight, { shape: [samples * filters, channels / groups, ...kernel] }),
    undefined,
    { ...window, groups: samples * groups },
  );
  return reshape(y, { shape: [samples, filters, ...y.shape.slice(2)] });
};

/** One batched product over unfolded windows: no attribute of the graph depends on the batch, which may be symbolic. */
const productOfWindows: PerSample = (x, weight, { groups, ...window }) => {
  const [filters, columns] = [weight.size(1), weight.size(2)];
  const patches = unfold(x, window); // [N, C, ...kernel, ...positions]
  const positions = patches.shape.slice(2 + window.kernel.length);
  const y = matmul(
    reshape(weight, { shape: [-1, groups, filters / groups, columns] }),
    reshape(patches, { shape: [-1, groups, columns, elementCount(concreteShape(positions))] }),
  ); // [N, groups, K/groups, positions]
  return reshape(y, { shape: [-1, filters, ...positions] });
};
