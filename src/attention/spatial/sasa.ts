import * as z from "zod/mini";
import { constant } from "../../graph/constant.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Conv2d } from "../../nn/conv.js";
import { kaimingNormal, normal, parameter } from "../../nn/variables.js";
import { add } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { concat, reshape, slice } from "../../ops/shape.js";
import { take } from "../../ops/take.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, oddSize, optional, size } from "../options.js";
import { grid, type WindowTiles, windowTiles } from "../windows.js";

interface WidthOptions {
  readonly channels: number;
  readonly outChannels?: number | null | undefined;
}

/** Number O of output channels. */
function outputWidth({ channels, outChannels }: WidthOptions): number {
  return outChannels ?? channels;
}

/**
 * Stand-alone self-attention: each head of each pixel attends to the k x k pixels around it, by content and by relative row and column.
 * Ramachandran, Parmar, Vaswani, Bello, Levskaya, Shlens: Stand-Alone Self-Attention in Vision Models, NeurIPS 2019, arXiv:1906.05909.
 * Half of the channels of a head carry the embedding of the row offset, the others that of the column offset; each head has its own
 * embeddings, about which the paper says nothing. Pixels outside of the image have key and value zero and stay in the softmax. There is no factor 1/sqrt(d).
 */
export class StandAloneSelfAttention extends mechanism({
  id: "sasa",
  name: "Stand-Alone Self-Attention",
  family: "spatial",
  year: 2019,
  paper:
    "Ramachandran, Parmar, Vaswani, Bello, Levskaya, Shlens: Stand-Alone Self-Attention in Vision Models, NeurIPS 2019",
  arxiv: "1906.05909",
  formula: String.raw`\mathbf{y}_{ij} = \sum_{ab \in \mathcal{N}_k(ij)} \mathrm{softmax}_{ab}\!\left(\mathbf{q}_{ij}^\top\mathbf{k}_{ab} + \mathbf{q}_{ij}^\top\mathbf{r}_{a-i,b-j}\right)\mathbf{v}_{ab}`,
  options: z
    .strictObject({
      channels: size,
      outChannels: optional(size),
      kernelSize: z._default(oddSize, 7),
      heads: z._default(size, 8),
      groupedProjection: flag(true),
    })
    .check(
      z.refine((o) => outputWidth(o) % (2 * o.heads) === 0, {
        error: "must divide outChannels (channels where absent) into heads of an even number of channels",
        path: ["heads"],
      }),
      z.refine((o) => !o.groupedProjection || o.channels % o.heads === 0, {
        error: "must be a multiple of heads with groupedProjection",
        path: ["channels"],
      }),
    ),
  maps: ({ heads, kernelSize }) => ({
    attention: {
      kind: "tokens",
      shape: ["batch", heads, "height", "width", kernelSize ** 2],
      range: [0, 1],
      sumsToOne: [4],
      places: { keys: { form: "window", side: kernelSize, dilation: 1, border: "none" } },
    },
  }),
  calls: (options) => ({
    forward: {
      inputs: { x: { shape: ["batch", options.channels, "height", "width"] } },
      outputs: { y: ["batch", outputWidth(options), "height", "width"] },
    },
  }),
  parameters: (options) => {
    const { channels: c, heads, kernelSize: k, groupedProjection } = options;
    const o = outputWidth(options);
    return (3 * c * o) / (groupedProjection ? heads : 1) + o * k;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const { channels: c, heads, kernelSize: k, groupedProjection } = options;
    const o = outputWidth(options);
    const projections = (3 * c * o) / (groupedProjection ? heads : 1);
    return batch * height * width * (projections + 2 * k * k * o + k * o);
  },
  refused: [
    { channels: 0 },
    { outChannels: 0 },
    { kernelSize: 4 },
    { kernelSize: 0 },
    { heads: 0 },
    { heads: 3 },
    { heads: 8 },
    { channels: 6, outChannels: 8 },
    { outChannels: 12 },
  ],
  examples: [
    { options: { channels: 8, kernelSize: 3, heads: 4 }, sizes: { batch: 2, height: 5, width: 6 } },
    {
      options: { channels: 5, outChannels: 8, kernelSize: 5, heads: 2, groupedProjection: false },
      sizes: { batch: 2, height: 4, width: 3 },
    },
  ],
}) {
  readonly queryConv: Conv2d;
  readonly keyConv: Conv2d;
  readonly valueConv: Conv2d;
  readonly relH: Variable;
  readonly relW: Variable;

  constructor(options: Options<typeof StandAloneSelfAttention>) {
    super(options);
    const { channels, heads, kernelSize, groupedProjection } = this.options;
    const outChannels = outputWidth(this.options);
    const projection = {
      inChannels: channels,
      outChannels,
      kernel: 1,
      groups: groupedProjection ? heads : 1,
      bias: false,
      initializer: kaimingNormal(outChannels),
    };
    this.queryConv = new Conv2d(projection);
    this.keyConv = new Conv2d(projection);
    this.valueConv = new Conv2d(projection);
    this.relH = parameter([outChannels / 2, kernelSize], normal(1));
    this.relW = parameter([outChannels / 2, kernelSize], normal(1));
  }

  /** @param x [N, C, H, W]  @returns [N, O, H, W] */
  forward(x: Tensor): Tensor {
    const { heads, kernelSize: k } = this.options;
    const [height, width] = [x.size(2), x.size(3)];
    const tiles = windowTiles([height, width], k); // T tiles of Q queries and K keys
    const { count, queryCount, keyCount } = tiles;
    const share = (height * width * k * k) / (count * queryCount * keyCount);
    const query = this.#byHead(this.queryConv.forward(x)); // [N, M, P, d]
    const keys = inTiles(this.#byHead(this.keyConv.forward(x)), tiles.keys, tiles); // [N, M, T, K, d]
    const values = inTiles(this.#byHead(this.valueConv.forward(x)), tiles.keys, tiles);
    const content = matmul(inTiles(query, tiles.queries, tiles), swapLast(keys), { share });
    const attention = softmax(add(content, this.#relative(query, tiles)), { axis: 4 }); // [N, M, T, Q, K]
    const bands = reshape(attention, { shape: [-1, heads, count, queryCount * keyCount] });
    const weights = fromTiles(take(bands, { axis: 3, indices: tiles.windows }), tiles); // [N, M, P, k*k]
    this.tap("attention", reshape(weights, { shape: [-1, heads, height, width, k * k] }));
    const y = fromTiles(matmul(attention, values, { share }), tiles); // [N, M, P, d]
    return reshape(swapLast(y), { shape: [-1, outputWidth(this.options), height, width] });
  }

  /** [N, O, H, W] -> [N, M, P, d] */
  #byHead(x: Tensor): Tensor {
    const { heads } = this.options;
    return swapLast(reshape(x, { shape: [-1, heads, x.size(1) / heads, x.size(2) * x.size(3)] }));
  }

  /**
   * Inner products with the embeddings of the offsets, which are those of the row plus those of the column, for the keys of each tile; far
   * below zero outside of a query's window: [N, M, P, d] -> [N, M, T, Q, K].
   */
  #relative(query: Tensor, tiles: WindowTiles): Tensor {
    const { heads, kernelSize: k } = this.options;
    const half = query.size(3) / 2;
    const products = (embedding: Variable, start: number) =>
      matmul(
        slice(query, { axes: [3], starts: [start], ends: [start + half] }),
        reshape(embedding, { shape: [heads, half, k] }),
      ); // [N, M, P, k]
    const offsets = concat([products(this.relH, 0), products(this.relW, half)], { axis: 3 });
    const { count, queryCount } = tiles;
    const perTile = reshape(take(offsets, { axis: 2, indices: tiles.queries }), {
      shape: [-1, heads, count, queryCount * 2 * k],
    });
    const byLine = take(perTile, { axis: 3, indices: offsetsOfLines(tiles, k), fill: hidden });
    const lines = tiles.reach[0] + tiles.reach[1];
    const logits = reshape(byLine, { shape: [-1, heads, count, queryCount, lines] });
    // A sum of the key's row and its column, which is no work of its own.
    return matmul(logits, keysOfLines(tiles.reach), { share: 0 });
  }
}

/**
 * For each query of a tile and each line of keys, rows then columns, where the product with the embedding of its offset is among those of
 * the tile: query, rows or columns, offset. -1 beyond the query's window.
 */
function offsetsOfLines({ tile, reach: [rows, columns] }: WindowTiles, k: number): number[] {
  return grid(tile).flatMap((place, query) =>
    Array.from({ length: rows + columns }, (_, line) => {
      const axis = line < rows ? 0 : 1;
      const offset = line - axis * rows - place[axis];
      return offset >= 0 && offset < k ? (2 * query + axis) * k + offset : -1;
    }),
  );
}

/** Ones where a key lies in a line, rows then columns: [rows + columns, keys]. */
function keysOfLines([rows, columns]: WindowTiles["reach"]): Tensor {
  const lines = rows + columns;
  const data = grid([lines, rows * columns]).map(([line, key]) =>
    Number(line < rows ? Math.floor(key / columns) === line : key % columns === line - rows),
  );
  return constant(data, { shape: [lines, rows * columns] });
}

/** A logit that gets no weight next to any other. */
const hidden = -1e30;

/** Positions by tile: [N, M, P, d] -> [N, M, T, positions of a tile, d]. */
function inTiles(x: Tensor, indices: readonly number[], { count }: WindowTiles): Tensor {
  const taken = take(x, { axis: 2, indices });
  return reshape(taken, { shape: [-1, x.size(1), count, indices.length / count, x.size(3)] });
}

/** What the queries of tiles have found, in the order of positions: [N, M, T, Q, ...] -> [N, M, P, ...], the last axes as one. */
function fromTiles(x: Tensor, { count, queryCount, places }: WindowTiles): Tensor {
  const perTile = x.shape.slice(3).reduce<number>((product, _, axis) => product * x.size(3 + axis), 1);
  const flat = reshape(x, { shape: [-1, x.size(1), count * queryCount, perTile / queryCount] });
  return take(flat, { axis: 2, indices: places });
}
