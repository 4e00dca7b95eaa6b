import * as z from "zod/mini";
import type { Tensor } from "../../graph/tensor.js";
import { Conv2d } from "../../nn/conv.js";
import { reflectPad } from "../../ops/reflect-pad.js";
import { reshape } from "../../ops/shape.js";
import { unfold } from "../../ops/unfold.js";
import { windowSums } from "../../ops/window-sums.js";
import type { CallSignature } from "../mechanism.js";
import { oddSize, optional, size } from "../options.js";

/** Options of the self-attention layers of SAN but for the dilation. */
export const sanOptions = {
  channels: size,
  relationChannels: optional(size),
  outChannels: optional(size),
  shareChannels: z._default(size, 8),
  kernelSize: z._default(oddSize, 7),
};

/** The same with their defaults. */
export interface SanOptions {
  readonly channels: number;
  readonly relationChannels?: number | null | undefined;
  readonly outChannels?: number | null | undefined;
  readonly shareChannels: number;
  readonly kernelSize: number;
}

/** Channels of a layer. */
export interface SanWidths {
  /** C, of the input. */
  readonly channels: number;
  /** r, of query and key. */
  readonly relation: number;
  /** O, of value and output. */
  readonly out: number;
  /** G, of the weights: each serves O / G channels. */
  readonly weights: number;
  /** K, elements of a window. */
  readonly window: number;
}

/** Widths by the options; by default those of the paper's networks, r = C/16 and O = C/4. */
export function sanWidths(options: SanOptions): SanWidths {
  const { channels, relationChannels, outChannels, shareChannels, kernelSize } = options;
  const out = outChannels ?? Math.max(1, Math.floor(channels / 4));
  return {
    channels,
    relation: relationChannels ?? Math.max(1, Math.floor(channels / 16)),
    out,
    weights: out / shareChannels,
    window: kernelSize ** 2,
  };
}

/** Check of options that refuses weights that do not divide the output channels. */
export const sharesDivide = z.refine<SanOptions>((options) => Number.isInteger(sanWidths(options).weights), {
  error: "must divide outChannels (floor(channels / 4) where absent)",
  path: ["shareChannels"],
});

/** Inputs and outputs of a layer. */
export function sanCalls(options: SanOptions): Readonly<Record<string, CallSignature>> {
  const { channels, out } = sanWidths(options);
  return {
    forward: {
      inputs: { x: { shape: ["batch", channels, "height", "width"] } },
      outputs: { y: ["batch", out, "height", "width"] },
    },
  };
}

/** The projections to query, key and value. */
export function sanProjections({ channels, relation, out }: SanWidths) {
  const projection = (outChannels: number) => new Conv2d({ inChannels: channels, outChannels, kernel: 1 });
  return { query: projection(relation), key: projection(relation), value: projection(out) };
}

/** Parameters of the projections. */
export function projectionParameters({ channels, relation, out }: SanWidths): number {
  return 2 * (channels * relation + relation) + channels * out + out;
}

/** A window around each pixel that sees the image mirrored at its border. */
interface MirroredWindow {
  readonly kernelSize: number;
  readonly dilation: number;
}

function borderWidth({ kernelSize, dilation }: MirroredWindow): number {
  return (dilation * (kernelSize - 1)) / 2;
}

/** The pixels in the window of each pixel, mirrored at the border: [N, C, H, W] -> [N, C, K, P], row by row. */
export function reflectedWindows(x: Tensor, window: MirroredWindow): Tensor {
  const { kernelSize: k, dilation } = window;
  const padded = reflectPad(x, { padding: borderWidth(window) });
  const windows = unfold(padded, { kernel: [k, k], dilation }); // [N, C, k, k, H, W]
  return reshape(windows, { shape: [-1, x.size(1), k * k, x.size(2) * x.size(3)] });
}

/**
 * Sums of the values in the windows, channel c under the weights of channel c mod G: value [N, O, H, W], weights [N, G, K, P] ->
 * [N, O, H, W].
 */
export function aggregate(value: Tensor, weights: Tensor, window: MirroredWindow): Tensor {
  const { kernelSize: k, dilation } = window;
  const padded = reflectPad(value, { padding: borderWidth(window) });
  const shape = [-1, weights.size(1), k * k, value.size(2), value.size(3)];
  return windowSums(padded, reshape(weights, { shape }), { kernel: [k, k], dilation });
}

/** Keys of the authors' checkpoints. */
export const sanCheckpoint = {
  conv1: "queryConv",
  conv2: "keyConv",
  conv3: "valueConv",
  "conv_w.0": "weightNorm1",
  "conv_w.2": "weightConv1",
  "conv_w.3": "weightNorm2",
  "conv_w.5": "weightConv2",
};
