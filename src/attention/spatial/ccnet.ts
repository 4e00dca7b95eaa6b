import * as z from "zod/mini";
import { constant } from "../../graph/constant.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { Conv2d } from "../../nn/conv.js";
import { constantValue, parameter } from "../../nn/variables.js";
import { add, mul } from "../../ops/arithmetic.js";
import { where } from "../../ops/compare.js";
import { softmax } from "../../ops/normalize.js";
import { concat, slice, transpose } from "../../ops/shape.js";
import { trailingAxes } from "../checkpoint-layout.js";
import { mechanism, type Options } from "../mechanism.js";
import { size } from "../options.js";
import { innerProducts, weightedSums } from "../positions.js";
import { leavesChannels, reducedWidth } from "../reduction.js";

/** [N, C, H, W] -> [N, W, C, H]: the pixels of each column. */
function columns(x: Tensor): Tensor {
  return transpose(x, { perm: [0, 3, 1, 2] });
}

/** [N, C, H, W] -> [N, H, C, W]: the pixels of each row. */
function rows(x: Tensor): Tensor {
  return transpose(x, { perm: [0, 2, 1, 3] });
}

/** The diagonal of a size x size matrix, between pixel h and entry i of its column: [size, 1, size]. */
function ownEntry(size: number): Tensor {
  const data = Array.from({ length: size * size }, (_, index) => (index % (size + 1) === 0 ? 1 : 0));
  return constant(data, { shape: [size, 1, size], dtype: "bool" });
}

/**
 * Criss-cross attention: each pixel attends to the pixels of its column and its row; repeated with the same weights it reaches all.
 * Huang, Wang, Huang, Huang, Wei, Liu: CCNet, ICCV 2019, arXiv:1811.11721, eq. 1 and 2, section 3.2 (affinity and aggregation), 3.3
 * (recurrence). The pixel itself is in its column and its row; its column entry is hidden, so that it counts once.
 */
export class CrissCrossAttention extends mechanism({
  id: "ccnet",
  name: "Criss-Cross Attention",
  family: "spatial",
  year: 2019,
  paper:
    "Huang, Wang, Huang, Huang, Wei, Liu: CCNet: Criss-Cross Attention for Semantic Segmentation, ICCV 2019",
  arxiv: "1811.11721",
  formula: String.raw`\mathbf{y}_u = \gamma \sum_{i \in \mathrm{cross}(u)} \mathrm{softmax}_i(\mathbf{q}_u^\top \mathbf{k}_i)\,\mathbf{v}_i + \mathbf{x}_u`,
  options: z
    .strictObject({ channels: size, reduction: z._default(size, 8), recurrence: z._default(size, 2) })
    .check(leavesChannels),
  maps: ({ recurrence }) =>
    Object.fromEntries(
      Array.from({ length: recurrence }, (_, pass) => [
        `attention${pass + 1}`,
        {
          kind: "tokens",
          shape: ["batch", "height", "width", "height+width"],
          range: [0, 1],
          sumsToOne: [3],
          places: { keys: { form: "cross" } },
        },
      ]),
    ),
  parameters: (options) => {
    const [c, q] = [options.channels, reducedWidth(options)];
    return 2 * (c * q + q) + c * c + c + 1;
  },
  macs: (options, { batch = 1, height = 1, width = 1 }) => {
    const [c, q] = [options.channels, reducedWidth(options)];
    const pixels = height * width;
    return batch * options.recurrence * (pixels * (2 * c * q + c * c) + pixels * (height + width) * (q + c));
  },
  refused: [{ channels: 0 }, { reduction: 0 }, { reduction: 1000 }, { recurrence: 0 }],
  examples: [
    { options: { channels: 16 }, sizes: { batch: 2, height: 5, width: 7 } },
    { options: { channels: 6, reduction: 2, recurrence: 1 }, sizes: { batch: 2, height: 1, width: 4 } },
  ],
  checkpoints: { "open-mmlab/mmcv": { "gamma.scale": trailingAxes(-1, "gamma") } },
}) {
  readonly queryConv: Conv2d;
  readonly keyConv: Conv2d;
  readonly valueConv: Conv2d;
  readonly gamma: Variable;

  constructor(options: Options<typeof CrissCrossAttention>) {
    super(options);
    const { channels } = this.options;
    const width = reducedWidth(this.options);
    this.queryConv = new Conv2d({ inChannels: channels, outChannels: width, kernel: 1 });
    this.keyConv = new Conv2d({ inChannels: channels, outChannels: width, kernel: 1 });
    this.valueConv = new Conv2d({ inChannels: channels, outChannels: channels, kernel: 1 });
    this.gamma = parameter([1], constantValue(0));
  }

  /** @param x [N, C, H, W]  @returns [N, C, H, W] */
  forward(x: Tensor): Tensor {
    let y = x;
    for (let pass = 1; pass <= this.options.recurrence; pass++) y = this.#pass(y, `attention${pass}`);
    return y;
  }

  #pass(x: Tensor, map: string): Tensor {
    const [height, width] = [x.size(2), x.size(3)];
    const [q, k, v] = [this.queryConv.forward(x), this.keyConv.forward(x), this.valueConv.forward(x)];
    const inColumn = innerProducts(columns(q), columns(k)); // [N, W, H, H]
    const inRow = innerProducts(rows(q), rows(k)); // [N, H, W, W]
    const others = where(
      ownEntry(height),
      Number.NEGATIVE_INFINITY,
      transpose(inColumn, { perm: [0, 2, 1, 3] }),
    );
    const attention = this.tap(map, softmax(concat([others, inRow], { axis: 3 }), { axis: 3 })); // [N, H, W, H+W]
    const toColumn = slice(attention, { axes: [3], starts: [0], ends: [height] }); // [N, H, W, H]
    const toRow = slice(attention, { axes: [3], starts: [height], ends: [height + width] }); // [N, H, W, W]
    const fromColumn = weightedSums(transpose(toColumn, { perm: [0, 2, 1, 3] }), columns(v)); // [N, W, C, H]
    const fromRow = weightedSums(toRow, rows(v)); // [N, H, C, W]
    const gathered = add(transpose(fromColumn, { perm: [0, 2, 3, 1] }), rows(fromRow));
    return add(mul(gathered, this.gamma), x);
  }
}
