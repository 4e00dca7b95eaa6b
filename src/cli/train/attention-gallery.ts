import { modelMaps } from "../../attention/model-maps.js";
import { type ImageDataset, selectImages } from "../../data/dataset.js";
import { Loader } from "../../data/loader.js";
import { type Classifier, gradCam } from "../../explain/grad-cam.js";
import { rowOf, softmax } from "../../explain/scores.js";
import { type AttentionRow, attentionPicture } from "../../report/attention-picture.js";
import { encodePng } from "../../report/png.js";
import { formatPercent } from "../../report/units.js";
import type { SessionOptions } from "../../runtime/types.js";
import { trainingData } from "../../train/data.js";
import { accuracyOf } from "./predictions.js";

/** What the gallery shows. */
export interface GalleryOptions {
  readonly title: string;
  /** Tap of the feature maps for Grad-CAM. */
  readonly tap: string;
  /** Predicted class of every image of the data set. */
  readonly predictions: readonly number[];
  readonly session: SessionOptions;
}

/** Cards of the gallery: mostly right predictions, some wrong ones where there are any. */
const cards = 12;
const wrongCards = 3;

/** Images to show: a right prediction of each class in turn, then wrong ones. */
function chooseImages(dataset: ImageDataset, predictions: readonly number[]): number[] {
  const wrong = predictions.flatMap((prediction, index) =>
    prediction === dataset.label(index) ? [] : [index],
  );
  const shownWrong = wrong.slice(0, wrongCards);
  const right: number[] = [];
  const perClass = new Map<number, number[]>();
  for (let index = 0; index < predictions.length; index++) {
    const label = dataset.label(index);
    if (predictions[index] === label)
      perClass.set(label, [...(perClass.get(label) ?? []), index].slice(0, cards));
  }
  const classes = [...perClass.keys()].sort((a, b) => a - b);
  for (let round = 0; round < cards && right.length < cards - shownWrong.length; round++) {
    for (const label of classes) {
      const index = perClass.get(label)![round];
      if (index !== undefined && right.length < cards - shownWrong.length) right.push(index);
    }
  }
  return [...right, ...shownWrong];
}

/** A PNG picture: test images, where the network looks (Grad-CAM), and the channel gates of its mechanisms. */
export async function attentionGallery(
  model: Classifier,
  dataset: ImageDataset,
  options: GalleryOptions,
): Promise<Uint8Array> {
  const indices = chooseImages(dataset, options.predictions);
  const gates = modelMaps(model).filter(({ declaration }) => declaration.kind === "channel-gate");
  const chosen = new Loader(selectImages(dataset, indices), { batchSize: indices.length, shuffle: false });
  const { x: images } = await trainingData(chosen).batch(0);
  const { heat, logits, taps } = await gradCam(model, images!, {
    ...options.session,
    tap: options.tap,
    taps: gates.map(({ tap }) => tap),
  });
  const pixels = await Promise.all(indices.map((index) => dataset.pixels(index)));
  const rows = indices.map((index, row): AttentionRow => {
    const scores = softmax(rowOf(logits, row));
    const prediction = options.predictions[index]!;
    return {
      image: {
        data: Float32Array.from(pixels[row]!, (pixel) => pixel / 255),
        shape: dataset.imageShape,
      },
      label: dataset.classes[dataset.label(index)]!,
      prediction: dataset.classes[prediction]!,
      confidence: scores[prediction]!,
      heat: { data: rowOf(heat, row), shape: heat.shape.slice(2) },
      gates: gates.map(({ tap }) => ({ name: tap, values: rowOf(taps[tap]!, row) })),
    };
  });
  const accuracy = formatPercent(accuracyOf(dataset, options.predictions));
  const subtitle = `${dataset.name}: ${accuracy} of ${dataset.length} images right`;
  return encodePng(attentionPicture(rows, { title: options.title, subtitle }));
}
