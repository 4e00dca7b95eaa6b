import { modelMaps } from "../../attention/model-maps.js";
import { FoveaError } from "../../base/errors.js";
import { version } from "../../base/version.js";
import { trace } from "../../graph/model.js";
import { batch } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import type { ImageModel } from "../../models/image-model.js";
import { decodeModel } from "../../onnx/decoder.js";
import type { EmittedModel } from "../../onnx/emit.js";
import { exportOnnx } from "../../onnx/export.js";
import { defaultRuntime } from "../../runtime/provider.js";
import { release, run } from "../../runtime/run.js";
import type { SessionOptions } from "../../runtime/types.js";
import { type Comparison, compareTensors, worstOf } from "../../verify/compare.js";
import { descriptionMetadata, type NetworkDescription } from "./description.js";
import { randomImages } from "./random-images.js";

/** Names of an exported network's input [batch, C, H, W], normalized, and output [batch, classes]. */
export const exportNames = { images: "images", logits: "logits" } as const;

/** How a network is exported. */
export interface NetworkExport {
  /** Images of a run; any number by default. */
  readonly batch?: number;
  readonly opset?: number;
  /** Patterns of taps that become outputs. */
  readonly taps?: readonly string[];
  readonly foldBatchNorm?: boolean;
}

/** A network as an ONNX model, with what is needed to use it in its metadata. @throws OptionError */
export function exportNetwork(
  model: ImageModel,
  description: NetworkDescription,
  options: NetworkExport = {},
): EmittedModel {
  const { batch: images = batch, ...exportOptions } = options;
  const forward = (inputs: { [exportNames.images]: Tensor }) => ({
    [exportNames.logits]: model.forward(inputs[exportNames.images]),
  });
  const shape = [images, ...description.preprocessing.imageShape];
  const graph = trace(forward, { [exportNames.images]: { shape } }, { model });
  return exportOnnx(graph, { ...exportOptions, metadata: metadataOf(model, description) });
}

function metadataOf(model: ImageModel, description: NetworkDescription): Record<string, string> {
  const maps = modelMaps(model).map(({ tap, mechanism, name: map, declaration: { kind, range } }) => {
    return { tap, mechanism, map, kind, ...(range ? { range } : {}) };
  });
  return {
    ...descriptionMetadata(description),
    producer: `fovea ${version}`,
    attentionMaps: JSON.stringify(maps),
  };
}

/** Largest difference of an export's results from the network's, relative to the largest value. */
const tolerance = 1e-4;
/** Images of the comparison where the model takes any number. */
const sampleImages = 2;

/**
 * Loads an exported network into a fresh session and compares its outputs for random images with the network's own.
 * @returns the output that differs most
 * @throws FoveaError where one differs, or a node is no standard operator
 */
export async function checkExport(
  bytes: Uint8Array,
  model: ImageModel,
  options: { readonly session: SessionOptions },
): Promise<Comparison> {
  const { inputs, outputs, nodes } = decodeModel(bytes);
  const foreign = nodes.find(({ domain }) => domain !== "");
  if (foreign)
    throw new FoveaError(`the export has ${foreign.domain}.${foreign.opType}, no standard operator`);
  const shape = inputs[0]!.shape.map((size) => (typeof size === "number" ? size : sampleImages));
  const images = randomImages(shape);
  const taps = outputs.map(({ name }) => name).filter((name) => name !== exportNames.logits);
  const expected = await run(model, images, { ...options.session, taps });
  const session = await defaultRuntime().createSession(bytes, { ...options.session, name: "exported model" });
  try {
    const computed = await session.run({ [exportNames.images]: images });
    const references = { [exportNames.logits]: expected.outputs.y!, ...expected.taps };
    const worst = worstOf(
      Object.entries(references).map(([name, reference]) =>
        compareTensors(name, computed[name], reference, { tolerance }),
      ),
    )!;
    if (!worst.passed)
      throw new FoveaError(`the export differs from the network: ${worst.name} ${worst.problem}`);
    return worst;
  } finally {
    await Promise.all([session.close(), release(model)]);
  }
}
