import * as z from "zod/mini";
import type { AttentionMap } from "../maps.js";
import { dropRate, flag, size } from "../options.js";
import type { Sizes } from "../sizes.js";

/** Options of DETR without its backbone. */
export const detrOptions = z
  .strictObject({
    backboneChannels: size,
    embedDim: z._default(size, 256),
    heads: z._default(size, 8),
    encoderLayers: z._default(size, 6),
    decoderLayers: z._default(size, 6),
    feedForwardDim: z._default(size, 2048),
    activation: z._default(z.enum(["relu", "gelu"]), "relu"),
    normFirst: flag(false),
    numClasses: size,
    numQueries: z._default(size, 100),
    auxLoss: flag(true),
    positionEncoding: z._default(z.enum(["sine2d", "learned2d"]), "sine2d"),
    maxSize: z._default(size, 50),
    dropout: z._default(dropRate, 0.1),
  })
  .check(
    z.refine((o) => o.embedDim % o.heads === 0, { error: "must divide embedDim", path: ["heads"] }),
    z.refine((o) => o.positionEncoding !== "sine2d" || o.embedDim % 4 === 0, {
      error: "must be a multiple of 4 for sine2d",
      path: ["embedDim"],
    }),
    z.refine((o) => o.embedDim % 2 === 0, { error: "must be even", path: ["embedDim"] }),
  );

export type DetrOptions = z.output<typeof detrOptions>;

/** Decoder layers whose output is classified. */
export function predictedLayers({ auxLoss, decoderLayers }: DetrOptions): number {
  return auxLoss ? decoderLayers : 1;
}

/** The maps of every layer. */
export function detrMaps(o: DetrOptions): Record<string, AttentionMap> {
  const tokens = (shape: AttentionMap["shape"], tap: string): AttentionMap => ({
    kind: "tokens",
    shape: ["batch", o.heads, ...shape],
    range: [0, 1],
    sumsToOne: [3],
    tap,
  });
  const places = "height*width";
  const encoder = Array.from({ length: o.encoderLayers }, (_, i): [string, AttentionMap] => [
    `encoderAttention.${i}`,
    tokens([places, places], `transformer.encoder.layers.${i}.selfAttention`),
  ]);
  const decoder = Array.from({ length: o.decoderLayers }, (_, i): [string, AttentionMap][] => [
    [
      `decoderSelfAttention.${i}`,
      tokens([o.numQueries, o.numQueries], `transformer.decoder.layers.${i}.selfAttention`),
    ],
    [
      `decoderCrossAttention.${i}`,
      tokens([o.numQueries, places], `transformer.decoder.layers.${i}.crossAttention`),
    ],
  ]);
  return Object.fromEntries([...encoder, ...decoder.flat()]);
}

/** Number of trained values. */
export function detrParameters(o: DetrOptions): number {
  const { backboneChannels: c, embedDim: d, feedForwardDim: f, numClasses: k, numQueries: q } = o;
  const encoder = o.encoderLayers * (4 * d * d + 4 * d + 2 * d * f + f + d + 4 * d);
  const decoder = o.decoderLayers * (8 * d * d + 8 * d + 2 * d * f + f + d + 6 * d);
  const norms = (o.normFirst ? 4 : 2) * d;
  const heads = (d + 1) * (k + 1) + 2 * (d * d + d) + 4 * d + 4;
  const tables = o.positionEncoding === "learned2d" ? o.maxSize * d : 0;
  return c * d + d + q * d + encoder + decoder + norms + heads + tables;
}

/** Multiply-accumulates. */
export function detrMacs(o: DetrOptions, { batch = 1, height = 1, width = 1 }: Sizes): number {
  const { backboneChannels: c, embedDim: d, feedForwardDim: f, numClasses: k, numQueries: q } = o;
  const s = height * width;
  const encoder = 4 * s * d * d + 2 * s * s * d + 2 * s * d * f;
  const decoder = 6 * q * d * d + 2 * s * d * d + 2 * q * (q + s) * d + 2 * q * d * f;
  const heads = predictedLayers(o) * q * (d * (k + 1) + 2 * d * d + 4 * d);
  return batch * (s * c * d + o.encoderLayers * encoder + o.decoderLayers * decoder + heads);
}
