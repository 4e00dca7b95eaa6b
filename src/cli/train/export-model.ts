import { DataError } from "../../base/errors.js";
import type { ImageDataset } from "../../data/dataset.js";
import type { Classifier } from "../../explain/grad-cam.js";
import { trace } from "../../graph/model.js";
import { batch } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { exportOnnx } from "../../onnx/export.js";
import { defaultRuntime } from "../../runtime/provider.js";
import type { SessionOptions } from "../../runtime/types.js";
import { predictAll } from "./predictions.js";

/** Names of the exported model's input [batch, C, H, W], normalized, and output [batch, classes]. */
const imagesName = "images";
const logitsName = "logits";

/** A trained classifier as an ONNX model of any batch size, with what is needed to use it in its metadata. */
export function exportClassifier(
  model: Classifier,
  dataset: ImageDataset,
  info: Readonly<Record<string, string>>,
): Uint8Array {
  const forward = (inputs: { [imagesName]: Tensor }) => ({ [logitsName]: model.forward(inputs[imagesName]) });
  const graph = trace(forward, { [imagesName]: { shape: [batch, ...dataset.imageShape] } }, { model });
  const metadata = {
    ...info,
    classes: JSON.stringify(dataset.classes),
    imageShape: JSON.stringify(dataset.imageShape),
    normalization: JSON.stringify(dataset.normalization),
  };
  return exportOnnx(graph, { metadata }).bytes;
}

/**
 * Loads an exported model into a fresh session and predicts the class of every image.
 * @throws DataError where the model has no such output
 */
export async function predictWithExported(
  bytes: Uint8Array,
  dataset: ImageDataset,
  options: { readonly batchSize: number; readonly session: SessionOptions },
): Promise<number[]> {
  const session = await defaultRuntime().createSession(bytes, { ...options.session, name: "exported model" });
  try {
    return await predictAll(dataset, options.batchSize, async (images) => {
      const { [logitsName]: logits } = await session.run({ [imagesName]: images });
      if (!logits) throw new DataError(`exported model has no output ${logitsName}`);
      return logits;
    });
  } finally {
    await session.close();
  }
}
