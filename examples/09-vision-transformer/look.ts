import {
  createExplainer,
  type ExplainableModel,
  type ExplainedMap,
  type HeatMap,
  type ImageDataset,
  type ImagePlanes,
  Loader,
  type SessionOptions,
} from "fovea";

/** A digit, what the network took it for, and where its class token looked. */
export interface Look {
  readonly image: ImagePlanes;
  readonly label: number;
  readonly prediction: number;
  /** Probability of the prediction. */
  readonly confidence: number;
  /** What the class token attends to in each block, on the grid of the patches. */
  readonly blocks: readonly { readonly mean: HeatMap; readonly heads: readonly HeatMap[] }[];
  /** The same, followed through all blocks. */
  readonly rollout: HeatMap;
}

/** Looks at every image of a data set. */
export async function lookAt(
  model: ExplainableModel,
  digits: ImageDataset,
  session: SessionOptions,
): Promise<Look[]> {
  const shape = digits.imageShape;
  const attention = await createExplainer(model, shape, { taps: ["blocks.*.attention"], ...session });
  const rollout = await createExplainer(model, shape, { method: "rollout", ...session });
  const loader = new Loader(digits, { batchSize: 1, shuffle: false });
  const looks: Look[] = [];
  for (let index = 0; index < digits.length; index++) {
    const { x } = await loader.batch(index);
    const image = { dtype: "float32", shape, data: x } as const;
    const { maps, logits, prediction = 0 } = await attention.explain(image);
    const followed = await rollout.explain(image);
    const odds = logits.map((logit) => Math.exp(logit - logits[prediction]!));
    looks.push({
      image: { shape, data: Float32Array.from(await digits.pixels(index), (level) => level / 255) },
      label: digits.label(index),
      prediction,
      confidence: 1 / odds.reduce((sum, value) => sum + value, 0),
      blocks: maps.map(planes).map(([mean, ...heads]) => ({ mean: mean!, heads })),
      rollout: planes(followed.maps[0]!)[0]!,
    });
  }
  await Promise.all([attention.close(), rollout.close()]);
  return looks;
}

/** The planes of a map of token attention: the mean of the heads, then the heads. */
function planes({ views }: ExplainedMap): HeatMap[] {
  return views.flatMap((view) => (view.form === "heat" ? [view.heat] : []));
}

/** The patches of a digit that a stroke crosses, row by row: their mean brightness is a tenth or more. */
export function strokePatches({ image, rollout }: Look): boolean[] {
  const [rows, columns] = rollout.shape as [number, number];
  const [, height, width] = image.shape as [number, number, number];
  const sums = new Float32Array(rows * columns);
  for (const [pixel, level] of image.data.entries()) {
    const row = Math.floor((Math.floor(pixel / width) * rows) / height);
    sums[row * columns + Math.floor(((pixel % width) * columns) / width)]! += level;
  }
  return Array.from(sums, (sum) => (sum * rows * columns) / (height * width) >= 0.1);
}

/** The share of a map's weight that lies on strokes. */
export function onStrokes(look: Look, { data }: HeatMap): number {
  const strokes = strokePatches(look);
  const [all, found] = data.reduce(
    ([all, found], weight, patch) => [all + weight, found + (strokes[patch] ? weight : 0)],
    [0, 0],
  );
  return found / all;
}
