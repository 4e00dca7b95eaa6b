import { type CheckpointLayout, stacked } from "../checkpoint-layout.js";

/** Layers of the encoder and of the decoder of the published models. */
const publishedLayers = 6;

/** Their attention's projections are one matrix and one bias. */
function packedAttention(theirs: string, ours: string): CheckpointLayout {
  const projections = (kind: string) =>
    stacked(...["queryProj", "keyProj", "valueProj"].map((projection) => `${ours}.${projection}.${kind}`));
  return {
    [`${theirs}.in_proj_weight`]: projections("weight"),
    [`${theirs}.in_proj_bias`]: projections("bias"),
  };
}

function layer(index: number): CheckpointLayout {
  const [encoder, decoder] = ["encoder", "decoder"].map((part) => `transformer.${part}.layers.${index}`);
  return {
    ...packedAttention(`${encoder}.self_attn`, `${encoder}.selfAttn`),
    ...packedAttention(`${decoder}.self_attn`, `${decoder}.selfAttn`),
    ...packedAttention(`${decoder}.multihead_attn`, `${decoder}.multiheadAttn`),
  };
}

/** The published state dict without its backbone, `backbone.0`. */
export const detrCheckpoint: CheckpointLayout = {
  ...Object.fromEntries(
    Array.from({ length: publishedLayers }, (_, index) => Object.entries(layer(index))).flat(),
  ),
  "backbone.1.row_embed": "positionEncoding.rowEmbed",
  "backbone.1.col_embed": "positionEncoding.colEmbed",
};
