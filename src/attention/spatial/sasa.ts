import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Conv2d } from "../../nn/conv.js";
import { kaimingNormal, normal, parameter } from "../../nn/variables.js";
import { add } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { reshape, slice, transpose } from "../../ops/shape.js";
import { unfold } from "../../ops/unfold.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, oddSize, optional, size } from "../options.js";
import { windowSums } from "../windows.js";

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
    const outChannels = outputWidth(this.options);
    const depth = outChannels / heads; // d
    const [height, width] = [x.size(2), x.size(3)];
    const positions = height * width; // P
    const query = swapLast(reshape(this.queryConv.forward(x), { shape: [-1, heads, depth, positions] }));
    const keys = transpose(this.#windows(this.keyConv.forward(x)), { perm: [0, 1, 4, 2, 3] }); // [N, M, P, d, k*k]
    const content = matmul(reshape(query, { shape: [-1, heads, positions, 1, depth] }), keys); // [N, M, P, 1, k*k]
    const logits = add(reshape(content, { shape: [-1, heads, positions, k * k] }), this.#relative(query));
    const attention = softmax(logits, { axis: 3 }); // [N, M, P, k*k]
    this.tap("attention", reshape(attention, { shape: [-1, heads, height, width, k * k] }));
    const y = windowSums(attention, this.#windows(this.valueConv.forward(x))); // [N, M, d, P]
    return reshape(y, { shape: [-1, outChannels, height, width] });
  }

  /** The pixels around each pixel, by head: [N, O, H, W] -> [N, M, d, k*k, P]. */
  #windows(x: Tensor): Tensor {
    const { heads, kernelSize: k } = this.options;
    const windows = unfold(x, { kernel: [k, k], padding: (k - 1) / 2 }); // [N, O, k, k, H, W]
    const positions = x.size(2) * x.size(3);
    return reshape(windows, { shape: [-1, heads, x.size(1) / heads, k * k, positions] });
  }

  /** Inner products with the embeddings of the offsets, which are those of the row plus those of the column: [N, M, P, d] -> [N, M, P, k*k]. */
  #relative(query: Tensor): Tensor {
    const { heads, kernelSize: k } = this.options;
    const [positions, half] = [query.size(2), query.size(3) / 2];
    const products = (embedding: Variable, start: number) =>
      matmul(
        slice(query, { axes: [3], starts: [start], ends: [start + half] }),
        reshape(embedding, { shape: [heads, half, k] }),
      ); // [N, M, P, k]
    const rows = reshape(products(this.relH, 0), { shape: [-1, heads, positions, k, 1] });
    const columns = reshape(products(this.relW, half), { shape: [-1, heads, positions, 1, k] });
    return reshape(add(rows, columns), { shape: [-1, heads, positions, k * k] });
  }
}
