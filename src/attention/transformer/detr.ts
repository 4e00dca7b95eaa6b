import type { HostTensor } from "../../base/dtype.js";
import { DataError } from "../../base/errors.js";
import { constant } from "../../graph/constant.js";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { Embedding } from "../../nn/embedding.js";
import { Linear } from "../../nn/linear.js";
import { sigmoid } from "../../ops/activation.js";
import { expandBatch } from "../../ops/expand-batch.js";
import { swapLast } from "../../ops/matmul.js";
import { reshape, slice, stack } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { detrCheckpoint } from "./detr-checkpoint.js";
import { DetrBoxHead, DetrTransformer } from "./detr-layers.js";
import { detrMacs, detrMaps, detrOptions, detrParameters, predictedLayers } from "./detr-options.js";
import { PositionalEncoding } from "./positional-encoding.js";

/** Features of a backbone with their padding. */
export interface DetrInputs {
  /** [N, Cb, H, W] */
  readonly features: Tensor;
  /** Bool [N, H, W], true: padding; none by default. */
  readonly mask?: Tensor | undefined;
}

/** What is predicted for each query; boxes are (centre x, centre y, width, height) as parts of the image. */
export interface DetrOutputs extends Record<string, Tensor> {
  /** [N, Q, K + 1]; the last class is "no object". */
  readonly predLogits: Tensor;
  /** [N, Q, 4] */
  readonly predBoxes: Tensor;
}

/**
 * DETR without its backbone: a transformer from image features to a set of objects, with the heads for class and box.
 * Carion et al.: End-to-End Object Detection with Transformers, ECCV 2020, arXiv:2005.12872, section 3.2 and appendix A.3.
 * As in its code, positions enter every attention's query and key but not the value, and the target of the first decoder layer is 0.
 * With `auxLoss` and several decoder layers, `auxLogits` and `auxBoxes` hold the predictions of all layers but the last.
 */
export class Detr extends mechanism({
  id: "detr",
  name: "DETR",
  family: "transformer",
  year: 2020,
  paper:
    "Carion, Massa, Synnaeve, Usunier, Kirillov, Zagoruyko: End-to-End Object Detection with Transformers, ECCV 2020",
  arxiv: "2005.12872",
  formula: String.raw`\mathbf{m} = \mathrm{Enc}(W\mathbf{f}, \mathbf{p}),\quad \mathbf{h} = \mathrm{LN}(\mathrm{Dec}(\mathbf{0}, \mathbf{q}, \mathbf{m}, \mathbf{p})),\quad \hat{c} = W_c\mathbf{h},\quad \hat{b} = \sigma(\mathrm{MLP}(\mathbf{h}))`,
  options: detrOptions,
  maps: detrMaps,
  calls: (o) => {
    const classes = o.numClasses + 1;
    const auxiliary = predictedLayers(o) - 1;
    return {
      forward: {
        inputs: {
          features: { shape: ["batch", o.backboneChannels, "height", "width"] },
          mask: { shape: ["batch", "height", "width"], dtype: "bool", optional: true },
        },
        outputs: {
          predLogits: ["batch", o.numQueries, classes],
          predBoxes: ["batch", o.numQueries, 4],
          ...(auxiliary > 0
            ? {
                auxLogits: [auxiliary, "batch", o.numQueries, classes],
                auxBoxes: [auxiliary, "batch", o.numQueries, 4],
              }
            : {}),
        },
        check: ({ mask }) => mask && checkPadding(mask),
      },
    };
  },
  parameters: detrParameters,
  macs: detrMacs,
  refused: [
    { backboneChannels: 0 },
    { embedDim: 10 },
    { embedDim: 9, heads: 3, positionEncoding: "learned2d" },
    { heads: 3 },
    { encoderLayers: 0 },
    { decoderLayers: 0 },
    { feedForwardDim: 0 },
    { activation: "tanh" },
    { numClasses: 0 },
    { numQueries: 0 },
    { positionEncoding: "sinusoidal" },
    { maxSize: 0 },
    { dropout: 1 },
  ],
  examples: [
    {
      options: {
        backboneChannels: 3,
        embedDim: 8,
        heads: 2,
        encoderLayers: 1,
        decoderLayers: 2,
        feedForwardDim: 6,
        numClasses: 3,
        numQueries: 4,
      },
      sizes: { batch: 2, height: 2, width: 3 },
      inputs: {
        mask: {
          values: ({ batch = 1, height = 1, width = 1 }) =>
            Array.from({ length: batch * height * width }, (_, index) =>
              Number(index < height * width && index % width === width - 1),
            ),
        },
      },
    },
    {
      options: {
        backboneChannels: 2,
        embedDim: 6,
        heads: 3,
        encoderLayers: 2,
        decoderLayers: 1,
        feedForwardDim: 5,
        activation: "gelu",
        normFirst: true,
        numClasses: 1,
        numQueries: 2,
        positionEncoding: "learned2d",
        maxSize: 4,
        dropout: 0,
      },
      sizes: { batch: 2, height: 3, width: 2 },
    },
    {
      options: {
        backboneChannels: 2,
        embedDim: 4,
        heads: 1,
        encoderLayers: 1,
        decoderLayers: 2,
        feedForwardDim: 4,
        numClasses: 2,
        numQueries: 3,
        auxLoss: false,
      },
      sizes: { batch: 2, height: 2, width: 2 },
    },
  ],
  checkpoints: { "facebookresearch/detr": detrCheckpoint },
}) {
  readonly inputProj: Conv2d;
  readonly positionEncoding: PositionalEncoding;
  readonly queryEmbed: Embedding;
  readonly transformer: DetrTransformer;
  readonly classEmbed: Linear;
  readonly bboxEmbed: DetrBoxHead;

  constructor(options: Options<typeof Detr>) {
    super(options);
    const o = this.options;
    const { embedDim } = o;
    this.inputProj = new Conv2d({ inChannels: o.backboneChannels, outChannels: embedDim, kernel: 1 });
    this.positionEncoding = new PositionalEncoding({
      kind: o.positionEncoding,
      embedDim,
      normalize: o.positionEncoding === "sine2d",
      maxSize: o.maxSize,
    });
    this.queryEmbed = new Embedding({ count: o.numQueries, width: embedDim });
    this.transformer = new DetrTransformer({ ...o, layerNormEps: 1e-5 });
    this.classEmbed = new Linear({ inFeatures: embedDim, outFeatures: o.numClasses + 1 });
    this.bboxEmbed = new DetrBoxHead(o);
  }

  forward({ features, mask }: DetrInputs): DetrOutputs {
    const { numQueries, embedDim, auxLoss } = this.options;
    const places = features.size(2) * features.size(3);
    const toTokens = (image: Tensor) => swapLast(reshape(image, { shape: [-1, embedDim, places] }));
    const source = toTokens(this.inputProj.forward(features)); // [N, HW, D]
    const position = toTokens(this.positionEncoding.encoding({ x: features, mask })); // [N or 1, HW, D]
    const keyPaddingMask = mask && reshape(mask, { shape: [-1, places] }); // [N, HW]
    const memory = this.transformer.encode(source, position, keyPaddingMask); // [N, HW, D]
    const nothing = constant(new Array(numQueries * embedDim).fill(0), { shape: [1, numQueries, embedDim] });
    const decoded = this.transformer.decode({
      x: expandBatch(nothing, { like: features }),
      queryPosition: reshape(this.queryEmbed.weight, { shape: [1, numQueries, embedDim] }),
      memory,
      position,
      keyPaddingMask,
    }); // a tensor [N, Q, D] per layer
    return this.#predict(auxLoss ? decoded : decoded.slice(-1));
  }

  /** Class and box of each query after each of the layers. */
  #predict(decoded: readonly Tensor[]): DetrOutputs {
    const hidden = this.transformer.decoder.norm!.forward(stack(decoded, { axis: 0 })); // [layers, N, Q, D]
    const logits = this.classEmbed.forward(hidden); // [layers, N, Q, K + 1]
    const boxes = sigmoid(this.bboxEmbed.forward(hidden)); // [layers, N, Q, 4]
    const last = decoded.length - 1;
    const ofLast = (layers: Tensor) => {
      const one = slice(layers, { axes: [0], starts: [last], ends: [last + 1] });
      return reshape(one, { shape: [-1, layers.size(2), layers.size(3)] });
    };
    const ofOthers = (layers: Tensor) => slice(layers, { axes: [0], starts: [0], ends: [last] });
    return {
      predLogits: ofLast(logits),
      predBoxes: ofLast(boxes),
      ...(last > 0 ? { auxLogits: ofOthers(logits), auxBoxes: ofOthers(boxes) } : {}),
    };
  }
}

/** Refuses an image without a place that is no padding. @throws DataError */
function checkPadding({ shape, data }: HostTensor): void {
  const places = shape[1]! * shape[2]!;
  for (let image = 0; image < shape[0]!; image++) {
    if (data.subarray(image * places, (image + 1) * places).every((padding) => padding !== 0)) {
      throw new DataError(`Detr.forward: input mask hides all of image ${image}; it must leave a place`);
    }
  }
}
