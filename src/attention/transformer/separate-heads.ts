import { ShapeError } from "../../base/errors.js";
import { formatShape, multiplySizes } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import type { Initializer, Variable } from "../../graph/variable.js";
import { Dropout } from "../../nn/dropout.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { constantValue, normal, parameter, uniform } from "../../nn/variables.js";
import { mul } from "../../ops/arithmetic.js";
import { expandBatch } from "../../ops/expand-batch.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { concat, pad, reshape } from "../../ops/shape.js";
import { additiveMask, attentionWeights } from "../attention-weights.js";
import { joinHeads, splitHeads } from "./heads.js";

/** What multi-head attention takes. */
export interface MultiHeadInputs {
  /** [N, L, E] */
  readonly query: Tensor;
  /** [N, S, keyDim]; the query by default. */
  readonly key?: Tensor | undefined;
  /** [N, S, valueDim]; the key by default. */
  readonly value?: Tensor | undefined;
  /** Bool or float (added to the scores). */
  readonly mask?: Tensor | undefined;
  /** Bool [N, S], true: hidden. */
  readonly keyPaddingMask?: Tensor | undefined;
}

/** An output and the map it comes from, [N, heads, L, S]. */
export interface Attended {
  readonly y: Tensor;
  readonly attention: Tensor;
}

const call = "MultiHeadAttention.forward";

/** Heads with a projection each for query, key and value, as in `torch.nn.MultiheadAttention`. In bool masks true means hidden. */
export class SeparateHeads extends Module {
  readonly queryProj: Linear;
  readonly keyProj: Linear;
  readonly valueProj: Linear;
  readonly biasK?: Variable;
  readonly biasV?: Variable;
  readonly outProj: Linear;
  readonly drop: Dropout;
  readonly #heads: number;
  readonly #addZeroAttn: boolean;

  constructor(options: {
    readonly embedDim: number;
    readonly heads: number;
    readonly keyDim: number;
    readonly valueDim: number;
    readonly bias: boolean;
    readonly addBiasKv: boolean;
    readonly addZeroAttn: boolean;
    readonly dropout: number;
    /** Initial weight of the output projection; uniform in ±1/sqrt(embedDim) by default. */
    readonly outInitializer?: Initializer;
  }) {
    super();
    const { embedDim: e, keyDim, valueDim, bias } = options;
    // PyTorch packs the three projections into one matrix [3E, E] where the widths are equal, and Xavier's fan-out is then 3E.
    const packed = keyDim === e && valueDim === e;
    const projection = (inFeatures: number) =>
      new Linear({
        inFeatures,
        outFeatures: e,
        bias,
        initializer: uniform(Math.sqrt(6 / (packed ? 4 * e : inFeatures + e))),
        biasInitializer: constantValue(0),
      });
    this.queryProj = projection(e);
    this.keyProj = projection(keyDim);
    this.valueProj = projection(valueDim);
    if (options.addBiasKv) {
      this.biasK = parameter([1, 1, e], normal(1 / Math.sqrt(e)));
      this.biasV = parameter([1, 1, e], normal(1 / Math.sqrt(e)));
    }
    const { outInitializer: initializer } = options;
    this.outProj = new Linear({
      inFeatures: e,
      outFeatures: e,
      bias,
      ...(initializer ? { initializer } : {}),
      biasInitializer: constantValue(0),
    });
    this.drop = new Dropout({ rate: options.dropout });
    this.#heads = options.heads;
    this.#addZeroAttn = options.addZeroAttn;
  }

  attend({ query, key = query, value = key, mask, keyPaddingMask }: MultiHeadInputs): Attended {
    checkLengths(key, { value, mask, keyPaddingMask });
    const heads = this.#heads;
    const q = splitHeads(this.queryProj.forward(query), heads); // [N, h, L, d]
    const k = splitHeads(this.#extend(this.keyProj.forward(key), this.biasK), heads); // [N, h, S', d]
    const v = splitHeads(this.#extend(this.valueProj.forward(value), this.biasV), heads); // [N, h, S', d]
    const scores = matmul(mul(q, q.size(3) ** -0.5), swapLast(k)); // [N, h, L, S']
    const extra = k.size(2) - key.size(1);
    const masks = this.#masks(query, { mask, keyPaddingMask }).map((part) => showLast(part, extra));
    const attention = attentionWeights(scores, masks);
    return { y: this.outProj.forward(joinHeads(matmul(this.drop.forward(attention), v))), attention };
  }

  /** [N, S, E] -> [N, S', E]: a learned row, then a row of zeros. */
  #extend(rows: Tensor, learned: Variable | undefined): Tensor {
    const longer = learned ? concat([rows, expandBatch(learned, { like: rows })], { axis: 1 }) : rows;
    return this.#addZeroAttn ? pad(longer, { pads: [0, 0, 0, 0, 1, 0] }) : longer;
  }

  /** Masks as they are added to the scores [N, h, L, S]. */
  #masks(
    query: Tensor,
    { mask, keyPaddingMask }: Pick<MultiHeadInputs, "mask" | "keyPaddingMask">,
  ): Tensor[] {
    const masks: Tensor[] = [];
    if (mask) masks.push(this.#perHead(additiveMask(mask, "hidden"), query));
    if (keyPaddingMask) {
      const padding = additiveMask(keyPaddingMask, "hidden");
      masks.push(reshape(padding, { shape: [-1, 1, 1, padding.size(1)] }));
    }
    return masks;
  }

  /** [L, S], or [N*heads, L, S] with the heads running fastest -> [N, heads, L, S] */
  #perHead(mask: Tensor, query: Tensor): Tensor {
    if (mask.rank === 2) return mask;
    const rows = multiplySizes(query.shape[0]!, this.#heads);
    if (mask.rank !== 3 || mask.shape[0] !== rows) {
      throw new ShapeError(
        `${call}: input mask must be [length, keyLength] or [${rows}, length, keyLength], found ${formatShape(mask.shape)}`,
      );
    }
    return reshape(mask, { shape: [-1, this.#heads, mask.size(1), mask.size(2)] });
  }
}

/** Extra keys at the end that no mask hides. */
function showLast(mask: Tensor, extra: number): Tensor {
  if (extra === 0) return mask;
  return pad(mask, { pads: [...Array<number>(2 * mask.rank - 1).fill(0), extra] });
}

/** Where key or value are left out the signature cannot compare their length. */
function checkLengths(key: Tensor, others: Pick<MultiHeadInputs, "value" | "mask" | "keyPaddingMask">): void {
  const length = key.size(1);
  for (const [name, tensor] of Object.entries(others)) {
    if (!tensor || tensor.size(name === "value" ? 1 : -1) === length) continue;
    throw new ShapeError(
      `${call}: input ${name} must have ${length} keys as the key has, found ${formatShape(tensor.shape)}`,
    );
  }
}
