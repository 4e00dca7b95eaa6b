import { ShapeError } from "../base/errors.js";
import { defineOp, type Op, requireFloats } from "../graph/operator.js";
import { normalizeAxis } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { int64Vector } from "./nodes.js";
import { sum } from "./reduce.js";
import { reshape } from "./shape.js";

/** Entries of an axis, by number; -1 stands for one that holds `fill`, 0 by default. */
export interface TakeAttributes {
  readonly axis: number;
  readonly indices: readonly number[];
  readonly fill?: number;
}

/** Entries of an axis in a fixed order, each as often as it is named. ONNX Gather-13, after Pad-19 where some are absent. */
export const take: Op<[x: Tensor], TakeAttributes> = defineOp("take", {
  normalize: ({ axis, indices, fill = 0 }, [x]) => ({ axis: normalizeAxis(axis, x.rank), indices, fill }),
  type: ([x], { axis, indices }) => {
    requireFloats([x]);
    const length = x.size(axis);
    const wrong = indices.find((index) => !(Number.isInteger(index) && index >= -1 && index < length));
    if (indices.length === 0 || wrong !== undefined) {
      throw new ShapeError(`indices must be integers from -1 to ${length - 1}, found ${wrong ?? "none"}`);
    }
    return { shape: x.shape.with(axis, indices.length), dtype: x.dtype };
  },
  onnx: (emit, [x], { inputs, attributes: { axis, indices, fill } }) => {
    const { rank } = inputs[0];
    const length = inputs[0].size(axis);
    const gather = (from: string) =>
      emit.node(
        "Gather",
        [
          from,
          int64Vector(
            emit,
            indices.map((index) => (index < 0 ? length : index)),
          ),
        ],
        { axis: { int: axis } },
      );
    if (!indices.includes(-1)) return gather(x!);
    const pads = Array.from({ length: 2 * rank }, (_, index) => (index === rank + axis ? 1 : 0));
    const absent = emit.constant({ dtype: "float32", shape: [], data: Float32Array.of(fill!) });
    return gather(emit.node("Pad", [x!, int64Vector(emit, pads), absent]));
  },
  gradient: ({ inputs: [x], attributes: { axis, indices }, cotangent: dy }) => [
    () => {
      const layers = takers(indices, x.size(axis));
      const taken = take(dy, { axis, indices: layers.flat() });
      if (layers.length === 1) return taken;
      const apart = [...x.shape.slice(0, axis), layers.length, ...x.shape.slice(axis)];
      return sum(reshape(taken, { shape: apart }), { axes: [axis], keepDims: false });
    },
  ],
  macs: 0,
  samples: [
    { inputs: [[2, 3, 2]], attributes: { axis: 1, indices: [2, -1, 0, 2, 2] } },
    { inputs: [[2, 4]], attributes: { axis: -1, indices: [3, 1, 0, 2] } },
    { inputs: [[3, 2]], attributes: { axis: 1, indices: [-1, 0], fill: 2 } },
  ],
});

/** Where each of `length` entries was taken to, layer by layer until all places are named; -1 for no further one. */
function takers(indices: readonly number[], length: number): number[][] {
  const layers: number[][] = [];
  const counts = new Uint32Array(length);
  for (const [place, index] of indices.entries()) {
    if (index < 0) continue;
    const layer = counts[index]!++;
    layers[layer] ??= Array<number>(length).fill(-1);
    layers[layer][index] = place;
  }
  return layers.length > 0 ? layers : [Array<number>(length).fill(-1)];
}
