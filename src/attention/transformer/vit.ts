import type { Tensor } from "../../graph/tensor.js";
import type { Variable } from "../../graph/variable.js";
import { LayerNorm } from "../../nn/layer-norm.js";
import { Linear } from "../../nn/linear.js";
import { normal, parameter } from "../../nn/variables.js";
import { add, mul } from "../../ops/arithmetic.js";
import { expandBatch } from "../../ops/expand-batch.js";
import { max, mean } from "../../ops/reduce.js";
import { concat, reshape, slice } from "../../ops/shape.js";
import type { AttentionMap } from "../maps.js";
import { mechanism, type Options } from "../mechanism.js";
import { attentionRollout } from "./rollout.js";
import { initial, PatchEmbed, VitBlock } from "./vit-block.js";
import { imageSizes, type VitOptions, vitLayout, vitOptions, vitParameters } from "./vit-options.js";

/** Blocks of torchvision's largest vision transformer. */
const maxDepth = 32;

/** Names of a block in torchvision, and ours. */
function torchvisionBlock(index: number): [theirs: string, ours: string][] {
  const theirs = `encoder.layers.encoder_layer_${index}`;
  return [
    [`${theirs}.ln_1`, `blocks.${index}.norm1`],
    [`${theirs}.self_attention.in_proj_weight`, `blocks.${index}.attn.qkv.weight`],
    [`${theirs}.self_attention.in_proj_bias`, `blocks.${index}.attn.qkv.bias`],
    [`${theirs}.self_attention.out_proj`, `blocks.${index}.attn.proj`],
    [`${theirs}.ln_2`, `blocks.${index}.norm2`],
    [`${theirs}.mlp.0`, `blocks.${index}.mlp.fc1`],
    [`${theirs}.mlp.3`, `blocks.${index}.mlp.fc2`],
  ];
}

function maps(o: VitOptions): Record<string, AttentionMap> {
  const { tokens, rows, columns, prefix } = vitLayout(o);
  const patches = { form: "grid", rows, columns, prefix, classToken: o.classToken } as const;
  const places = { queries: patches, keys: patches };
  const attention = (_: unknown, index: number): [string, AttentionMap] => [
    `attention.${index}`,
    {
      kind: "tokens",
      shape: ["batch", o.heads, tokens, tokens],
      range: [0, 1],
      sumsToOne: [3],
      tap: `blocks.${index}.attention`,
      places,
    },
  ];
  return {
    ...Object.fromEntries(Array.from({ length: o.depth }, attention)),
    rollout: {
      kind: "tokens",
      shape: ["batch", tokens, tokens],
      range: [0, 1],
      sumsToOne: [2],
      places,
    },
    ...(o.classToken
      ? { rolloutClass: { kind: "spatial", shape: ["batch", rows, columns], range: [0, 1] } }
      : {}),
    tokens: { kind: "tokens", shape: ["batch", tokens, o.embedDim], places: { queries: patches } },
  };
}

/**
 * Vision transformer: an image as a sequence of patches, encoded by self-attention, classified from a class token or a mean of tokens.
 * Dosovitskiy et al.: An Image is Worth 16x16 Words, ICLR 2021, arXiv:2010.11929, eq. 1 to 4.
 * Options and parameters are timm's, whose head is linear; the paper's head of pre-training has a hidden layer. `rollout` follows Abnar
 * and Zuidema, ACL 2020, arXiv:2005.00928.
 */
export class VisionTransformer extends mechanism({
  id: "vit",
  name: "Vision Transformer",
  family: "transformer",
  year: 2021,
  paper:
    "Dosovitskiy, Beyer, Kolesnikov, Weissenborn, Zhai, Unterthiner, Dehghani, Minderer, Heigold, Gelly, Uszkoreit, Houlsby: An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, ICLR 2021",
  arxiv: "2010.11929",
  formula: String.raw`\mathbf{z}_0 = [\mathbf{c}; E\mathbf{x}_1; \dots; E\mathbf{x}_P] + \mathbf{p},\quad \mathbf{z}'_l = \mathbf{z}_{l-1} + \mathrm{MHA}(\mathrm{LN}(\mathbf{z}_{l-1})),\quad \mathbf{z}_l = \mathbf{z}'_l + \mathrm{MLP}(\mathrm{LN}(\mathbf{z}'_l)),\quad \mathbf{y} = W\,\mathrm{LN}(\mathbf{z}_L)_0`,
  options: vitOptions,
  maps,
  calls: (o) => {
    const { tokens, outputDim } = vitLayout(o);
    return {
      forward: {
        inputs: { x: { shape: ["batch", o.inChannels, ...imageSizes(o)] } },
        outputs: { y: o.globalPool === "" ? ["batch", tokens, outputDim] : ["batch", outputDim] },
      },
    };
  },
  parameters: vitParameters,
  macs: (o, { batch = 1 }) => {
    const { embedDim: d } = o;
    const { tokens: t, patches, hiddenDim: m } = vitLayout(o);
    const embedding = patches * o.inChannels * o.patchSize ** 2 * d;
    const block = 4 * t * d * d + 2 * t * t * d + 2 * t * d * m;
    return batch * (embedding + o.depth * block + (o.globalPool === "" ? t : 1) * d * o.numClasses);
  },
  refused: [
    { imageSize: 0 },
    { imageSize: 9 },
    { imageSize: [8, 9] },
    { patchSize: 0 },
    { inChannels: 0 },
    { numClasses: -1 },
    { heads: 3 },
    { depth: 0 },
    { mlpRatio: 0 },
    { mlpRatio: 0.01 },
    { initValues: 0 },
    { classToken: false },
    { regTokens: -1 },
    { globalPool: "mean" },
    { layerNormEps: 0 },
  ],
  examples: [
    {
      options: {
        imageSize: 8,
        patchSize: 4,
        numClasses: 5,
        embedDim: 8,
        depth: 2,
        heads: 2,
        mlpRatio: 2,
      },
      sizes: { batch: 2 },
    },
    {
      options: {
        imageSize: [4, 6],
        patchSize: 2,
        inChannels: 2,
        numClasses: 3,
        embedDim: 6,
        depth: 1,
        heads: 3,
        mlpRatio: 1.5,
        qkNorm: true,
        initValues: 0.1,
        regTokens: 2,
        noEmbedClass: true,
        globalPool: "avgmax",
        preNorm: true,
      },
      sizes: { batch: 2 },
    },
    {
      options: {
        imageSize: 4,
        patchSize: 2,
        numClasses: 0,
        embedDim: 4,
        depth: 1,
        heads: 1,
        mlpRatio: 1,
        qkvBias: false,
        classToken: false,
        globalPool: "",
      },
      sizes: { batch: 2 },
    },
  ],
  checkpoints: {
    "pytorch/vision": {
      class_token: "clsToken",
      conv_proj: "patchEmbed.proj",
      "encoder.pos_embedding": "posEmbed",
      "encoder.ln": "norm",
      "heads.head": "head",
      ...Object.fromEntries(Array.from({ length: maxDepth }, (_, index) => torchvisionBlock(index)).flat()),
    },
  },
}) {
  readonly clsToken?: Variable;
  readonly regToken?: Variable;
  readonly posEmbed: Variable;
  readonly patchEmbed: PatchEmbed;
  readonly normPre?: LayerNorm;
  readonly blocks: readonly VitBlock[];
  readonly norm?: LayerNorm;
  readonly fcNorm?: LayerNorm;
  readonly head?: Linear;

  constructor(options: Options<typeof VisionTransformer>) {
    super(options);
    const o = this.options;
    const { embedDim, depth, regTokens, numClasses } = o;
    const { positions, hiddenDim, normAfterPool } = vitLayout(o);
    const normalization = () => new LayerNorm({ size: embedDim, epsilon: o.layerNormEps });
    if (o.classToken) this.clsToken = parameter([1, 1, embedDim], normal(1e-6));
    if (regTokens > 0) this.regToken = parameter([1, regTokens, embedDim], normal(1e-6));
    this.posEmbed = parameter([1, positions, embedDim], initial.initializer);
    this.patchEmbed = new PatchEmbed({ ...o, bias: !o.preNorm });
    if (o.preNorm) this.normPre = normalization();
    this.blocks = Array.from({ length: depth }, () => new VitBlock({ ...o, hiddenDim }));
    if (normAfterPool) this.fcNorm = normalization();
    else this.norm = normalization();
    if (numClasses > 0) this.head = new Linear({ ...initial, inFeatures: embedDim, outFeatures: numClasses });
  }

  /** Taps of the tokens [N, T, D] after each block: `block0` ... */
  get features(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.blocks.map((_, index) => [`block${index}`, `blocks.${index}.output`]));
  }

  /**
   * Tap of the tokens [N, T, D] that the last block attends to. A head on the class token depends on all of them, but on no other token
   * after that block.
   */
  get lastFeatures(): string {
    return `blocks.${this.blocks.length - 1}.input`;
  }

  /** @param x [N, C, H, W]  @returns logits [N, K]; without pooling [N, T, K], without a head of the width D */
  forward(x: Tensor): Tensor {
    const embedded = this.#embed(this.patchEmbed.forward(x)); // [N, T, D]
    let tokens = this.normPre?.forward(embedded) ?? embedded;
    const attentions: Tensor[] = [];
    for (const [index, block] of this.blocks.entries()) {
      const { y, attention } = block.encode(tokens);
      attentions.push(this.tap(`blocks.${index}.attention`, attention)); // [N, heads, T, T]
      tokens = this.tap(`blocks.${index}.output`, y);
    }
    this.#tapRollout(attentions);
    tokens = this.tap("tokens", this.norm?.forward(tokens) ?? tokens);
    const pooled = this.#pool(tokens); // [N, D]
    const features = this.fcNorm?.forward(pooled) ?? pooled;
    return this.head?.forward(features) ?? features;
  }

  /** Adds positions and puts the learned tokens before the patches. */
  #embed(patches: Tensor): Tensor {
    const { noEmbedClass } = this.options;
    const placed = noEmbedClass ? add(patches, this.posEmbed) : patches;
    const learned = [this.clsToken, this.regToken].filter((token) => token !== undefined);
    const tokens = concat([...learned.map((token) => expandBatch(token, { like: patches })), placed], {
      axis: 1,
    });
    return noEmbedClass ? tokens : add(tokens, this.posEmbed);
  }

  /** [N, T, D] -> [N, D] */
  #pool(tokens: Tensor): Tensor {
    const { globalPool, poolIncludePrefix, embedDim } = this.options;
    if (globalPool === "") return tokens;
    if (globalPool === "token") {
      return reshape(slice(tokens, { axes: [1], starts: [0], ends: [1] }), { shape: [-1, embedDim] });
    }
    const { prefix, tokens: length } = vitLayout(this.options);
    const first = poolIncludePrefix ? 0 : prefix;
    const pooled = first > 0 ? slice(tokens, { axes: [1], starts: [first], ends: [length] }) : tokens;
    const over = { axes: [1], keepDims: false };
    if (globalPool === "avg") return mean(pooled, over);
    if (globalPool === "max") return max(pooled, over);
    return mul(add(max(pooled, over), mean(pooled, over)), 0.5);
  }

  #tapRollout(attentions: readonly Tensor[]): void {
    const rollout = this.tap("rollout", attentionRollout(attentions)); // [N, T, T]
    if (!this.options.classToken) return;
    const { prefix, tokens, rows, columns } = vitLayout(this.options);
    const ofClass = slice(rollout, { axes: [1, 2], starts: [0, prefix], ends: [1, tokens] });
    this.tap("rolloutClass", reshape(ofClass, { shape: [-1, rows, columns] }));
  }
}
