import * as z from "zod/mini";
import type { Tensor } from "../graph/tensor.js";
import { mul } from "../ops/arithmetic.js";
import { softmax } from "../ops/normalize.js";
import { adaptiveAveragePool2d } from "../ops/pool.js";
import { concat, reshape } from "../ops/shape.js";
import type { AttentionMap } from "./maps.js";
import { size } from "./options.js";
import { flattenPositions, innerProducts, unflattenPositions, weightedSums } from "./positions.js";

/** Sides of the grids of regions. */
export const poolSizes = z._default(z.array(size).check(z.minLength(1)), [1, 3, 6, 8]);

/** Number S of regions of all grids. */
export function regionCount(sizes: readonly number[]): number {
  return sizes.reduce((total, s) => total + s * s, 0);
}

/** The map of every pixel's attention to the regions. */
export function regionMap(sizes: readonly number[]): AttentionMap {
  return {
    kind: "tokens",
    shape: ["batch", "height*width", regionCount(sizes)],
    range: [0, 1],
    sumsToOne: [2],
    places: { keys: { form: "pyramid", sides: sizes } },
  };
}

/** Average pooling to several grids, flattened and joined: [N, C, H, W] -> [N, C, S], S = sum of s^2. */
function pyramidPool(x: Tensor, sizes: readonly number[]): Tensor {
  const grids = sizes.map((s) =>
    reshape(adaptiveAveragePool2d(x, [s, s]), { shape: [-1, x.size(1), s * s] }),
  );
  return concat(grids, { axis: 2 });
}

/** Attention of each pixel to the regions of another image: query [N, k, H, W], key [N, k, h, w] -> [N, P, S]. */
export function regionAttention(query: Tensor, key: Tensor, sizes: readonly number[]): Tensor {
  const scores = innerProducts(flattenPositions(query), pyramidPool(key, sizes));
  return softmax(mul(scores, query.size(1) ** -0.5), { axis: 2 });
}

/** What each pixel gathers from the regions of `value` [N, v, h, w] by attention [N, P, S]: [N, v, H, W] of the size of `like`. */
export function gatherRegions(
  attention: Tensor,
  value: Tensor,
  options: { readonly sizes: readonly number[]; readonly like: Tensor },
): Tensor {
  return unflattenPositions(weightedSums(attention, pyramidPool(value, options.sizes)), options);
}
