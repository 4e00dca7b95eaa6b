import * as z from "zod/mini";
import { flag, optional, positive, size } from "../options.js";

const count = z.int().check(z.gte(0));

/** Options of a vision transformer, named as in timm. */
export const vitOptions = z
  .strictObject({
    imageSize: z._default(z.union([size, z.tuple([size, size])]), 224),
    patchSize: z._default(size, 16),
    inChannels: z._default(size, 3),
    numClasses: z._default(count, 1000),
    embedDim: z._default(size, 768),
    depth: z._default(size, 12),
    heads: z._default(size, 12),
    mlpRatio: z._default(positive, 4),
    qkvBias: flag(true),
    qkNorm: flag(false),
    initValues: optional(positive),
    classToken: flag(true),
    regTokens: z._default(count, 0),
    noEmbedClass: flag(false),
    globalPool: z._default(z.enum(["token", "avg", "max", "avgmax", ""]), "token"),
    fcNorm: optional(z.boolean()),
    poolIncludePrefix: flag(false),
    preNorm: flag(false),
    layerNormEps: z._default(positive, 1e-6),
  })
  .check(
    z.refine((o) => imageSizes(o).every((side) => side % o.patchSize === 0), {
      error: "must be a multiple of patchSize",
      path: ["imageSize"],
    }),
    z.refine((o) => o.embedDim % o.heads === 0, { error: "must divide embedDim", path: ["heads"] }),
    z.refine((o) => o.embedDim * o.mlpRatio >= 1, {
      error: "must give one hidden unit or more",
      path: ["mlpRatio"],
    }),
    z.refine((o) => o.classToken || o.globalPool !== "token", {
      error: "must be true for globalPool token",
      path: ["classToken"],
    }),
  );

export type VitOptions = z.output<typeof vitOptions>;

/** Height and width of the image. */
export function imageSizes({
  imageSize,
}: {
  imageSize: number | [number, number];
}): [height: number, width: number] {
  return typeof imageSize === "number" ? [imageSize, imageSize] : imageSize;
}

/** Sizes that follow from the options. */
export function vitLayout(o: VitOptions) {
  const [rows, columns] = imageSizes(o).map((side) => side / o.patchSize) as [number, number];
  const prefix = Number(o.classToken) + o.regTokens;
  const patches = rows * columns;
  return {
    rows,
    columns,
    prefix,
    patches,
    tokens: prefix + patches,
    positions: o.noEmbedClass ? patches : prefix + patches,
    hiddenDim: Math.floor(o.embedDim * o.mlpRatio),
    outputDim: o.numClasses || o.embedDim,
    /** The final norm acts on what is pooled. */
    normAfterPool: o.fcNorm ?? ["avg", "max", "avgmax"].includes(o.globalPool),
  };
}

/** Number of trained values. */
export function vitParameters(o: VitOptions): number {
  const { embedDim: d, numClasses: k } = o;
  const { prefix, positions, hiddenDim: m } = vitLayout(o);
  const embedding = o.inChannels * o.patchSize ** 2 * d + (o.preNorm ? 2 * d : d) + (prefix + positions) * d;
  const attention = 4 * d * d + d + (o.qkvBias ? 3 * d : 0) + (o.qkNorm ? (4 * d) / o.heads : 0);
  const block = attention + 2 * d * m + m + d + 4 * d + (o.initValues == null ? 0 : 2 * d);
  return embedding + o.depth * block + 2 * d + (k > 0 ? d * k + k : 0);
}
