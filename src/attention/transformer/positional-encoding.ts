import * as z from "zod/mini";
import { ShapeError } from "../../base/errors.js";
import { fillUniform } from "../../base/random.js";
import { formatShape } from "../../graph/size.js";
import { Tensor } from "../../graph/tensor.js";
import type { Initializer, Variable } from "../../graph/variable.js";
import { Embedding } from "../../nn/embedding.js";
import { normal, parameter } from "../../nn/variables.js";
import { add } from "../../ops/arithmetic.js";
import { expandBatch } from "../../ops/expand-batch.js";
import { concat, expand, reshape, slice, transpose } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, positive, size } from "../options.js";
import { maskedSinePositions2d, sinePositions, sinePositions2d } from "./sine-positions.js";

const unitUniform: Initializer = (out, { seed, path }) => fillUniform(out, { seed, stream: path, step: 0 });

/** Kinds for images [N, C, H, W]; the others are for tokens [N, L, D]. */
function isTwoDimensional(kind: string): boolean {
  return kind === "sine2d" || kind === "learned2d";
}

/** An image with its padding (bool [N, H, W], true: padding). */
export interface PaddedImage {
  readonly x: Tensor;
  readonly mask?: Tensor | undefined;
}

/**
 * Positional encoding: adds to each token or pixel what says where it is.
 * Sinusoidal: Vaswani et al.: Attention Is All You Need, NeurIPS 2017, arXiv:1706.03762, section 3.5. Learned: Dosovitskiy et al.,
 * ICLR 2021, arXiv:2010.11929, eq. 1. In two dimensions, half of the channels for each: Carion et al., ECCV 2020, arXiv:2005.12872,
 * appendix; as in its code, sine2d counts from 1 and has rows first, learned2d has columns first.
 */
export class PositionalEncoding extends mechanism({
  id: "positional-encoding",
  name: "Positional Encoding",
  family: "transformer",
  year: 2017,
  paper:
    "Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin: Attention Is All You Need, NeurIPS 2017",
  arxiv: "1706.03762",
  formula: String.raw`\mathbf{y}_p = \mathbf{x}_p + \mathbf{e}_p,\quad e_{p,2i} = \sin\!\left(p\,T^{-2i/D}\right),\ e_{p,2i+1} = \cos\!\left(p\,T^{-2i/D}\right)`,
  options: z
    .strictObject({
      kind: z._default(z.enum(["sinusoidal", "learned", "sine2d", "learned2d"]), "sinusoidal"),
      embedDim: size,
      temperature: z._default(positive, 10000),
      maxLength: optional(size),
      normalize: flag(false),
      scale: optional(positive),
      maxSize: z._default(size, 50),
    })
    .check(
      z.refine((o) => o.kind === "learned" || o.embedDim % 2 === 0, {
        error: "must be even",
        path: ["embedDim"],
      }),
      z.refine((o) => o.kind !== "sine2d" || o.embedDim % 4 === 0, {
        error: "must be a multiple of 4 for sine2d",
        path: ["embedDim"],
      }),
      z.refine((o) => o.kind !== "learned" || o.maxLength != null, {
        error: "must be given for kind learned",
        path: ["maxLength"],
      }),
      z.refine((o) => o.kind === "sine2d" || !o.normalize, {
        error: "must be false unless kind is sine2d",
        path: ["normalize"],
      }),
      z.refine((o) => o.normalize || o.scale == null, {
        error: "must not be given without normalize",
        path: ["scale"],
      }),
    ),
  maps: ({ kind, embedDim }) => ({
    position: {
      ...(isTwoDimensional(kind)
        ? { kind: "spatial", shape: ["batch", embedDim, "height", "width"] }
        : { kind: "tokens", shape: ["batch", "length", embedDim] }),
      ...(kind.startsWith("sin") ? { range: [-1, 1] } : {}),
    },
  }),
  calls: ({ kind, embedDim }) => {
    const y = isTwoDimensional(kind) ? ["batch", embedDim, "height", "width"] : ["batch", "length", embedDim];
    const mask = { shape: ["batch", "height", "width"], dtype: "bool", optional: true } as const;
    return {
      forward: {
        inputs: { x: { shape: y }, ...(isTwoDimensional(kind) ? { mask } : {}) },
        outputs: { y },
      },
    };
  },
  parameters: ({ kind, embedDim, maxLength, maxSize }) => {
    if (kind === "learned") return maxLength! * embedDim;
    return kind === "learned2d" ? maxSize * embedDim : 0;
  },
  macs: () => 0,
  refused: [
    { kind: "rotary" },
    { embedDim: 7 },
    { kind: "sine2d", embedDim: 6 },
    { kind: "learned2d", embedDim: 5 },
    { kind: "learned", maxLength: null },
    { kind: "learned", maxLength: 0 },
    { temperature: 0 },
    { normalize: true },
    { kind: "sine2d", scale: 1 },
    { maxSize: 0 },
  ],
  examples: [
    { options: { embedDim: 8 }, sizes: { batch: 2, length: 5 } },
    { options: { kind: "learned", embedDim: 5, maxLength: 7 }, sizes: { batch: 2, length: 4 } },
    {
      options: { kind: "sine2d", embedDim: 8, normalize: true },
      sizes: { batch: 2, height: 3, width: 4 },
      inputs: { mask: {} },
    },
    {
      options: { kind: "sine2d", embedDim: 4, temperature: 20 },
      sizes: { batch: 2, height: 3, width: 4 },
    },
    {
      options: { kind: "learned2d", embedDim: 6, maxSize: 5 },
      sizes: { batch: 2, height: 3, width: 5 },
    },
  ],
}) {
  readonly posEmbed?: Variable;
  readonly rowEmbed?: Embedding;
  readonly colEmbed?: Embedding;

  constructor(options: Options<typeof PositionalEncoding>) {
    super(options);
    const { kind, embedDim, maxLength, maxSize } = this.options;
    if (kind === "learned") this.posEmbed = parameter([1, maxLength!, embedDim], normal(0.02));
    if (kind === "learned2d") {
      const table = { count: maxSize, width: embedDim / 2, initializer: unitUniform };
      this.rowEmbed = new Embedding(table);
      this.colEmbed = new Embedding(table);
    }
  }

  /**
   * @param input tokens [N, L, D]; of the two-dimensional kinds an image [N, C, H, W] with its padding
   * @returns the shape of x
   */
  forward(input: Tensor | PaddedImage): Tensor {
    const { x, mask } = input instanceof Tensor ? { x: input, mask: undefined } : input;
    const position = this.encoding({ x, mask });
    this.tap("position", position.shape[0] === 1 ? expandBatch(position, { like: x }) : position);
    return add(x, position);
  }

  /**
   * The encoding alone, for those who add it elsewhere.
   * @returns the shape of x, with a batch of 1 where it is the same for all samples
   * @throws ShapeError for more positions than the tables have
   */
  encoding({ x, mask }: PaddedImage): Tensor {
    const { kind, embedDim, temperature, normalize, scale } = this.options;
    if (kind === "sinusoidal") return sinePositions(x.size(1), embedDim, temperature);
    if (kind === "learned") return this.#learned(x);
    if (kind === "learned2d") return this.#learned2d(x);
    const sine = { channels: embedDim, temperature, scale: normalize ? (scale ?? 2 * Math.PI) : undefined };
    return mask ? maskedSinePositions2d(mask, sine) : sinePositions2d([x.size(2), x.size(3)], sine);
  }

  #learned(x: Tensor): Tensor {
    this.#checkLimit(x, [1], this.options.maxLength!);
    return slice(this.posEmbed!, { axes: [1], starts: [0], ends: [x.size(1)] });
  }

  /** Channels of the columns, then of the rows. */
  #learned2d(x: Tensor): Tensor {
    this.#checkLimit(x, [2, 3], this.options.maxSize);
    const half = this.options.embedDim / 2;
    const [height, width] = [x.size(2), x.size(3)];
    const columns = reshape(transpose(this.colEmbed!.first(width)), { shape: [1, half, 1, width] });
    const rows = reshape(transpose(this.rowEmbed!.first(height)), { shape: [1, half, height, 1] });
    const shape = [1, half, height, width];
    return concat([expand(columns, { shape }), expand(rows, { shape })], { axis: 1 });
  }

  #checkLimit(x: Tensor, axes: readonly number[], limit: number): void {
    if (axes.every((axis) => x.size(axis) <= limit)) return;
    throw new ShapeError(
      `PositionalEncoding.forward: input x must have at most ${limit} positions on axis ${axes.join(" and ")}, found ${formatShape(x.shape)}`,
    );
  }
}
