import { DataError } from "../../base/errors.js";
import type { ImageDataset } from "../../data/dataset.js";
import { defaultRuntime } from "../../runtime/provider.js";
import type { SessionOptions } from "../../runtime/types.js";
import { exportNames } from "../network/export-network.js";
import { predictAll } from "./predictions.js";

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
      const { [exportNames.logits]: logits } = await session.run({ [exportNames.images]: images });
      if (!logits) throw new DataError(`exported model has no output ${exportNames.logits}`);
      return logits;
    });
  } finally {
    await session.close();
  }
}
