import { elementCount } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats, requireRank } from "../graph/operator.js";
import { concreteShape, formatShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { add, mul } from "./arithmetic.js";
import { reshapeNode, sliceNode } from "./nodes.js";
import { sum } from "./reduce.js";
import { concat, reshape, resize, slice } from "./shape.js";
import { windowCounts } from "./window.js";

/** A window over rows and columns. */
export interface PlaneWindow {
  readonly kernel: readonly [rows: number, columns: number];
  readonly dilation?: number;
}

/** An element of the window: its number, and how many rows and columns it lies behind the window's first. */
interface Offset {
  readonly element: number;
  readonly row: number;
  readonly column: number;
}

function offsetsByRow({ kernel: [rows, columns], dilation = 1 }: PlaneWindow): Offset[][] {
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (__, j) => ({
      element: i * columns + j,
      row: i * dilation,
      column: j * dilation,
    })),
  );
}

/**
 * Sums over the window of each position under weights of that position, channel c under those of group c mod G: values [N, C, H', W'],
 * weights [N, G, K, H, W] with the K elements of the window row by row -> [N, C, H, W]. Element by element of the window, on whole
 * planes: the windows themselves, K times the values, are never made.
 */
export const windowSums: Op<[values: Tensor, weights: Tensor], PlaneWindow> = defineOp("windowSums", {
  type: ([values, weights], { kernel, dilation = 1 }) => {
    requireFloats([values, weights]);
    requireRank(values, 4, "values");
    requireRank(weights, 5, "weights");
    const planes = windowCounts([values.size(2), values.size(3)], kernel, {
      stride: [1, 1],
      padding: [0, 0, 0, 0],
      dilation: [dilation, dilation],
    });
    const [samples, groups] = weights.shape;
    const expected = [values.shape[0]!, groups!, kernel[0] * kernel[1], ...planes];
    if (expected.some((size, axis) => size !== weights.shape[axis])) {
      throw new ShapeError(`weights must be ${formatShape(expected)}, found ${formatShape(weights.shape)}`);
    }
    if (values.size(1) % weights.size(1) !== 0) {
      throw new ShapeError(`channels ${values.size(1)} must be divisible by groups ${groups}`);
    }
    return { shape: [samples!, values.shape[1]!, ...planes], dtype: "float32" };
  },
  onnx: (emit, [values, weights], { inputs, attributes, output }) => {
    const [channels, groups] = [inputs[0].size(1), inputs[1].size(1)];
    const [rows, columns] = [output.size(2), output.size(3)];
    const [height, width] = [inputs[0].size(2), inputs[0].size(3)];
    const part = (x: string, axis: number, start: number, length: number) =>
      sliceNode(emit, x, { axes: [axis], starts: [start], ends: [start + length], steps: [1] });
    const shares = reshapeNode(emit, values!, [-1, channels / groups, groups, height, width]);
    const planes = reshapeNode(emit, weights!, [-1, 1, groups, inputs[1].size(2), rows * columns]);
    const products = offsetsByRow(attributes).flatMap((line) => {
      const band = part(shares, 3, line[0]!.row, rows);
      return line.map(({ element, column }) => {
        const weight = reshapeNode(emit, part(planes, 3, element, 1), [-1, 1, groups, rows, columns]);
        return emit.node("Mul", [part(band, 4, column, columns), weight]);
      });
    });
    const total = products.reduce((sofar, product) => emit.node("Add", [sofar, product]));
    return reshapeNode(emit, total, [-1, channels, rows, columns]);
  },
  gradient: ({ inputs: [values, weights], attributes, output, cotangent }) => {
    const [groups, height, width] = [weights.size(1), values.size(2), values.size(3)];
    const [rows, columns] = [output.size(2), output.size(3)];
    const byGroup = (x: Tensor, [high, wide]: readonly [number, number]) =>
      reshape(x, { shape: [-1, x.size(1) / groups, groups, high, wide] });
    const dy = byGroup(cotangent, [rows, columns]);
    const offsets = offsetsByRow(attributes);
    const total = (parts: readonly Tensor[]) => parts.reduce((sofar, part) => add(sofar, part));
    return [
      () => {
        const share = ({ element, column }: Offset) => {
          const plane = slice(weights, { axes: [2], starts: [element], ends: [element + 1] });
          const weight = reshape(plane, { shape: [-1, 1, groups, rows, columns] });
          return resize(mul(dy, weight), { axis: 4, start: column, length: width });
        };
        const bands = offsets.map((line) =>
          resize(total(line.map(share)), { axis: 3, start: line[0]!.row, length: height }),
        );
        return reshape(total(bands), { shape: values.shape });
      },
      () => {
        const shares = byGroup(values, [height, width]);
        const slopes = offsets.flat().map(({ row, column }) => {
          // In one step, unlike those of the sums: equal ones would be held until here.
          const starts = [row, column];
          const ends = [row + rows, column + columns];
          return sum(mul(dy, slice(shares, { axes: [3, 4], starts, ends })), { axes: [1] });
        });
        const joined = slopes.map((slope) => reshape(slope, { shape: [-1, groups, 1, rows, columns] }));
        return concat(joined, { axis: 2 });
      },
    ];
  },
  macs: ({ inputs: [, weights], output }) => elementCount(concreteShape(output.shape)) * weights.size(2),
  samples: [
    {
      inputs: [
        [2, 4, 4, 5],
        [2, 2, 6, 3, 3],
      ],
      attributes: { kernel: [2, 3] },
    },
    {
      inputs: [
        [2, 2, 5, 4],
        [2, 2, 4, 3, 2],
      ],
      attributes: { kernel: [2, 2], dilation: 2 },
    },
  ],
});
