import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { BatchNorm } from "../../nn/batch-norm.js";
import { Conv, Conv2d } from "../../nn/conv.js";
import { constantValue } from "../../nn/variables.js";
import { relu } from "../../ops/activation.js";
import { add, mul } from "../../ops/arithmetic.js";
import { matmul, swapLast } from "../../ops/matmul.js";
import { softmax } from "../../ops/normalize.js";
import { maxPool } from "../../ops/pool.js";
import { reshape, slice } from "../../ops/shape.js";
import { mechanism, type Options } from "../mechanism.js";
import { flag, optional, size } from "../options.js";
import { flattenPositions, innerProducts, unflattenPositions, weightedSums } from "../positions.js";
import { innerWidth } from "../reduction.js";
import type { Sizes } from "../sizes.js";

type PairwiseFunction = "gaussian" | "embedded-gaussian" | "dot-product" | "concatenation";

const axisNames = [["length"], ["height", "width"], ["frames", "height", "width"]] as const;

/** Names of the spatial axes. */
function spatialNames({ dimensions }: { dimensions: number }): readonly string[] {
  return axisNames[dimensions - 1]!;
}

/** Window and stride of the sub-sampling: halves all axes but time. */
function poolingWindow(dimensions: number): number[] {
  return dimensions === 3 ? [1, 2, 2] : Array<number>(dimensions).fill(2);
}

/** Numbers of query and key positions. */
function positionCounts(options: { dimensions: number; subSample: boolean }, sizes: Sizes): [number, number] {
  const lengths = spatialNames(options).map((name) => sizes[name] ?? 1);
  const window = poolingWindow(options.dimensions);
  const pooled = lengths.map((length, axis) => Math.floor(length / window[axis]!));
  const product = (values: readonly number[]) => values.reduce((total, value) => total * value, 1);
  return [product(lengths), product(options.subSample ? pooled : lengths)];
}

/** Where the keys of images and videos lie after the sub-sampling. */
function subSampledKeys({ dimensions, subSample }: { dimensions: number; subSample: boolean }) {
  if (!subSample || dimensions === 1) return {};
  const frames = dimensions === 3 ? { frames: "frames" } : {};
  return {
    places: { keys: { form: "grid", ...frames, rows: "height", columns: "width", stride: 2 } },
  } as const;
}

function isNormalized(mode: PairwiseFunction): boolean {
  return mode === "gaussian" || mode === "embedded-gaussian";
}

/**
 * Non-local block: each position is the sum of all positions, weighted by a function of the pair, added to itself.
 * Wang, Girshick, Gupta, He: Non-local Neural Networks, CVPR 2018, arXiv:1711.07971, eq. 1; pairwise functions of eq. 2 to 5, residual
 * block of eq. 6, sub-sampling of section 3.3. The concatenation w [theta; phi] is computed as the sum of its two halves, so that no
 * [2D, P, K] comes up. `scale` is of later implementations: D^-1/2 ("inner", MMCV) or C^-1/2 ("channels", timm).
 */
export class NonLocal extends mechanism({
  id: "non-local",
  name: "Non-local Block",
  family: "spatial",
  year: 2018,
  paper: "Wang, Girshick, Gupta, He: Non-local Neural Networks, CVPR 2018",
  arxiv: "1711.07971",
  formula: String.raw`\mathbf{y}_i = \mathbf{x}_i + W_z \frac{1}{\mathcal{C}(\mathbf{x})} \sum_j f(\mathbf{x}_i, \mathbf{x}_j)\, g(\mathbf{x}_j)`,
  options: z
    .strictObject({
      channels: size,
      innerChannels: optional(size),
      mode: z._default(
        z.enum(["gaussian", "embedded-gaussian", "dot-product", "concatenation"]),
        "embedded-gaussian",
      ),
      dimensions: z._default(z.int().check(z.gte(1), z.lte(3)), 2),
      subSample: flag(true),
      batchNorm: flag(true),
      scale: z._default(z.enum(["none", "inner", "channels"]), "none"),
    })
    .check(
      z.refine((o) => o.scale === "none" || o.mode === "embedded-gaussian", {
        error: "only the mode embedded-gaussian has a scale",
        path: ["scale"],
      }),
    ),
  maps: (options) => {
    const queries = spatialNames(options).join("*");
    const shape = ["batch", queries, options.subSample ? "keys" : queries];
    const normalized = isNormalized(options.mode) ? { range: [0, 1] as const, sumsToOne: [2] } : {};
    return { attention: { kind: "tokens", shape, ...normalized, ...subSampledKeys(options) } };
  },
  calls: (options) => {
    const shape = ["batch", options.channels, ...spatialNames(options)];
    return { forward: { inputs: { x: { shape } }, outputs: { y: shape } } };
  },
  parameters: (options) => {
    const [c, d] = [options.channels, innerWidth(options)];
    const projections = options.mode === "gaussian" ? 1 : 3;
    const pairwise = options.mode === "concatenation" ? 2 * d : 0;
    return projections * (c * d + d) + pairwise + (d * c + c) + (options.batchNorm ? 2 * c : 0);
  },
  macs: (options, sizes) => {
    const [c, d] = [options.channels, innerWidth(options)];
    const [p, k] = positionCounts(options, sizes);
    const convolutions = options.mode === "gaussian" ? 2 : 4;
    const products = p * k * (options.mode === "gaussian" ? c : d);
    const scores = options.mode === "concatenation" ? (p + k) * d : products;
    return (sizes.batch ?? 1) * (convolutions * p * c * d + scores + p * k * d);
  },
  refused: [
    { channels: 0 },
    { innerChannels: 0 },
    { mode: "cosine" },
    { dimensions: 0 },
    { dimensions: 4 },
    { scale: "keys" },
    { scale: "inner", mode: "gaussian" },
    { scale: "channels", mode: "dot-product" },
    { scale: "inner", mode: "concatenation" },
  ],
  examples: [
    { options: { channels: 8 }, sizes: { batch: 2, height: 5, width: 7, keys: 6 } },
    {
      options: { channels: 6, mode: "gaussian", subSample: false, batchNorm: false },
      sizes: { batch: 2, height: 3, width: 4 },
    },
    {
      options: { channels: 5, innerChannels: 4, mode: "dot-product", dimensions: 1, batchNorm: false },
      sizes: { batch: 3, length: 9, keys: 4 },
    },
    {
      options: { channels: 6, mode: "concatenation", dimensions: 3 },
      sizes: { batch: 2, frames: 3, height: 4, width: 5, keys: 12 },
    },
    {
      options: { channels: 6, innerChannels: 4, subSample: false, scale: "inner" },
      sizes: { batch: 2, height: 4, width: 3 },
    },
  ],
  checkpoints: {
    "AlexHex7/Non-local_pytorch": {
      "g.0": "g",
      "phi.0": "phi",
      "concat_project.0": "concatProject",
      "W.0": "convOut",
      "W.1": "norm",
      W: "convOut",
    },
    "open-mmlab/mmcv": {
      "g.conv": "g",
      "g.0.conv": "g",
      "theta.conv": "theta",
      "phi.conv": "phi",
      "phi.0.conv": "phi",
      "concat_project.conv": "concatProject",
      "conv_out.conv": "convOut",
      "conv_out.bn": "norm",
    },
    "huggingface/pytorch-image-models": { t: "theta", p: "phi", z: "convOut" },
  },
}) {
  readonly g: Conv;
  readonly theta?: Conv;
  readonly phi?: Conv;
  /** Weights of the concatenation: those of theta, then those of phi. */
  readonly concatProject?: Conv2d;
  readonly convOut: Conv;
  readonly norm?: BatchNorm;

  constructor(options: Options<typeof NonLocal>) {
    super(options);
    const { channels, mode, dimensions, batchNorm } = this.options;
    const width = innerWidth(this.options);
    const kernel = Array<number>(dimensions).fill(1);
    const project = () => new Conv({ inChannels: channels, outChannels: width, kernel });
    this.g = project();
    if (mode !== "gaussian") {
      this.theta = project();
      this.phi = project();
    }
    if (mode === "concatenation") {
      this.concatProject = new Conv2d({ inChannels: 2 * width, outChannels: 1, kernel: 1, bias: false });
    }
    const zero = constantValue(0);
    // Zeros in the last layer: the block starts as the identity.
    this.convOut = new Conv({
      inChannels: width,
      outChannels: channels,
      kernel,
      ...(batchNorm ? {} : { initializer: zero }),
    });
    if (batchNorm) this.norm = new BatchNorm({ channels, weightInitializer: zero });
  }

  /** @param x [N, C, ...S], S of the option's dimensions  @returns [N, C, ...S]  @throws ShapeError where a pooled axis is 1 */
  forward(x: Tensor): Tensor {
    const theta = flattenPositions(this.theta?.forward(x) ?? x); // [N, D, P]
    const phi = flattenPositions(this.#subSample(this.phi?.forward(x) ?? x)); // [N, D, K]
    const g = flattenPositions(this.#subSample(this.g.forward(x))); // [N, D, K]
    const attention = this.tap("attention", this.#attend(theta, phi)); // [N, P, K]
    const gathered = unflattenPositions(weightedSums(attention, g), { like: x }); // [N, D, ...S]
    const transformed = this.convOut.forward(gathered); // [N, C, ...S]
    return add(x, this.norm?.forward(transformed) ?? transformed);
  }

  /** Halves the keys and values along each axis but time. */
  #subSample(x: Tensor): Tensor {
    if (!this.options.subSample) return x;
    const kernel = poolingWindow(this.options.dimensions);
    return maxPool(x, { kernel, stride: kernel });
  }

  /** Normalized pairwise function, [N, D, P], [N, D, K] -> [N, P, K]. */
  #attend(theta: Tensor, phi: Tensor): Tensor {
    const { channels, mode, scale } = this.options;
    const scores = mode === "concatenation" ? this.#concatenation(theta, phi) : innerProducts(theta, phi);
    if (!isNormalized(mode)) return mul(scores, 1 / phi.size(2));
    if (scale === "none") return softmax(scores, { axis: 2 });
    const width = scale === "inner" ? innerWidth(this.options) : channels;
    return softmax(mul(scores, width ** -0.5), { axis: 2 });
  }

  /** relu(w [theta_i; phi_j]), eq. 5. */
  #concatenation(theta: Tensor, phi: Tensor): Tensor {
    const width = theta.size(1);
    const weight = reshape(this.concatProject!.weight, { shape: [1, 2 * width] });
    const half = (index: number) =>
      slice(weight, { axes: [1], starts: [index * width], ends: [(index + 1) * width] }); // [1, D]
    const ofQuery = matmul(half(0), theta); // [N, 1, P]
    const ofKey = matmul(half(1), phi); // [N, 1, K]
    return relu(add(swapLast(ofQuery), ofKey));
  }
}
