import type { Tensor } from "../../graph/tensor.js";
import type { Initializer } from "../../graph/variable.js";
import type { Dropout } from "../../nn/dropout.js";
import type { LayerNorm } from "../../nn/layer-norm.js";
import { Linear } from "../../nn/linear.js";
import { Module } from "../../nn/module.js";
import { defaultInitializer, uniform } from "../../nn/variables.js";
import { relu } from "../../ops/activation.js";
import { add } from "../../ops/arithmetic.js";
import {
  feedForward,
  feedForwardParts,
  type LayerOptions,
  layerNormalization,
  residual,
} from "./layer-parts.js";
import { SeparateHeads } from "./separate-heads.js";

/** Uniform with the variance 2 / (in + out). Glorot, Bengio: Understanding the difficulty of training deep networks, AISTATS 2010. */
function xavier(inFeatures: number, outFeatures: number): Initializer {
  return uniform(Math.sqrt(6 / (inFeatures + outFeatures)));
}

function attentionOf({ embedDim, heads, dropout }: LayerOptions): SeparateHeads {
  return new SeparateHeads({
    embedDim,
    heads,
    keyDim: embedDim,
    valueDim: embedDim,
    bias: true,
    addBiasKv: false,
    addZeroAttn: false,
    dropout,
    outInitializer: xavier(embedDim, embedDim),
  });
}

function xavierLinear(inFeatures: number, outFeatures: number): Linear {
  return new Linear({
    inFeatures,
    outFeatures,
    initializer: xavier(inFeatures, outFeatures),
    biasInitializer: defaultInitializer(inFeatures),
  });
}

/** What the layers of DETR's encoder and decoder share: those of a transformer, all matrices with Xavier's initial values. */
abstract class DetrLayer extends Module {
  readonly options: LayerOptions;
  readonly selfAttn: SeparateHeads;
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly drop: Dropout;

  constructor(options: LayerOptions) {
    super();
    const { embedDim, feedForwardDim } = options;
    this.options = options;
    this.selfAttn = attentionOf(options);
    this.linear1 = xavierLinear(embedDim, feedForwardDim);
    this.linear2 = xavierLinear(feedForwardDim, embedDim);
    this.norm1 = layerNormalization(options);
    this.norm2 = layerNormalization(options);
    this.drop = feedForwardParts(options).drop;
  }

  /** Self-attention beside the identity: positions are added to query and key, not to the value. */
  protected attendSelf(x: Tensor, position: Tensor, keyPaddingMask?: Tensor): Tensor {
    return residual(x, { norm: this.norm1, options: this.options, drop: this.drop }, (value) => {
      const query = add(value, position);
      const { y, attention } = this.selfAttn.attend({ query, key: query, value, keyPaddingMask });
      this.tap("selfAttention", attention); // [N, heads, L, L]
      return y;
    });
  }

  protected feed(x: Tensor, norm: LayerNorm): Tensor {
    return residual(x, { norm, options: this.options, drop: this.drop }, (z) => feedForward(z, this));
  }
}

/** Encoder layer with positions at each attention. Carion et al. 2020, appendix A.3. */
export class DetrEncoderLayer extends DetrLayer {
  /** @returns [N, L, D] */
  forward(inputs: {
    /** [N, L, D] */
    readonly x: Tensor;
    /** [N, L, D], or [1, L, D] for all samples. */
    readonly position: Tensor;
    /** Bool [N, L], true: hidden. */
    readonly keyPaddingMask?: Tensor | undefined;
  }): Tensor {
    const { x, position, keyPaddingMask } = inputs;
    return this.feed(this.attendSelf(x, position, keyPaddingMask), this.norm2);
  }
}

/** What a decoder layer takes. */
export interface DetrDecoderInputs {
  /** [N, Q, D] */
  readonly x: Tensor;
  /** The positions of the objects, learned: [1, Q, D]. */
  readonly queryPosition: Tensor;
  /** [N, S, D] */
  readonly memory: Tensor;
  /** [N, S, D], or [1, S, D] for all samples. */
  readonly position: Tensor;
  /** Bool [N, S], true: hidden. */
  readonly keyPaddingMask?: Tensor | undefined;
}

/** Decoder layer with positions at each attention. Carion et al. 2020, appendix A.3. */
export class DetrDecoderLayer extends DetrLayer {
  readonly multiheadAttn: SeparateHeads;
  readonly norm3: LayerNorm;

  constructor(options: LayerOptions) {
    super(options);
    this.multiheadAttn = attentionOf(options);
    this.norm3 = layerNormalization(options);
  }

  /** @returns [N, Q, D] */
  forward({ x, queryPosition, memory, position, keyPaddingMask }: DetrDecoderInputs): Tensor {
    const { options, drop, norm2 } = this;
    const own = this.attendSelf(x, queryPosition);
    const crossed = residual(own, { norm: norm2, options, drop }, (z) => {
      const { y, attention } = this.multiheadAttn.attend({
        query: add(z, queryPosition),
        key: add(memory, position),
        value: memory,
        keyPaddingMask,
      });
      this.tap("crossAttention", attention); // [N, heads, Q, S]
      return y;
    });
    return this.feed(crossed, this.norm3);
  }
}

/** Layers, and the normalization of what they give. */
export class DetrStack<Layer extends Module> extends Module {
  readonly layers: readonly Layer[];
  readonly norm?: LayerNorm;

  constructor(layers: readonly Layer[], norm: LayerNorm | undefined) {
    super();
    this.layers = layers;
    if (norm) this.norm = norm;
  }
}

/** The encoder and the decoder. */
export class DetrTransformer extends Module {
  readonly encoder: DetrStack<DetrEncoderLayer>;
  readonly decoder: DetrStack<DetrDecoderLayer>;

  constructor(options: LayerOptions & { readonly encoderLayers: number; readonly decoderLayers: number }) {
    super();
    const layers = <L>(count: number, create: () => L) => Array.from({ length: count }, create);
    this.encoder = new DetrStack(
      layers(options.encoderLayers, () => new DetrEncoderLayer(options)),
      options.normFirst ? layerNormalization(options) : undefined,
    );
    this.decoder = new DetrStack(
      layers(options.decoderLayers, () => new DetrDecoderLayer(options)),
      layerNormalization(options),
    );
  }

  /** @returns [N, S, D] */
  encode(x: Tensor, position: Tensor, keyPaddingMask?: Tensor): Tensor {
    const { layers, norm } = this.encoder;
    const encoded = layers.reduce((z, layer) => layer.forward({ x: z, position, keyPaddingMask }), x);
    return norm?.forward(encoded) ?? encoded;
  }

  /** @returns what each layer gives, not normalized: [N, Q, D] */
  decode({ x, ...others }: DetrDecoderInputs): Tensor[] {
    const outputs: Tensor[] = [];
    for (const layer of this.decoder.layers)
      outputs.push(layer.forward({ x: outputs.at(-1) ?? x, ...others }));
    return outputs;
  }
}

/** Affine maps of each token with ReLU between them. */
export class DetrBoxHead extends Module {
  readonly layers: readonly Linear[];

  constructor({ embedDim }: { readonly embedDim: number }) {
    super();
    const widths = [embedDim, embedDim, 4];
    this.layers = widths.map((outFeatures) => new Linear({ inFeatures: embedDim, outFeatures }));
  }

  /** @param x [..., D]  @returns [..., 4] */
  forward(x: Tensor): Tensor {
    return this.layers.reduce((z, layer, index) => layer.forward(index === 0 ? z : relu(z)), x);
  }
}
