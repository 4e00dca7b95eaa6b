import type { Target } from "../graph/emitter.js";
import type { Tensor } from "../graph/tensor.js";
import { suitsBlocks } from "../onnx/cpu/suits-blocks.js";
import { type DeviceName, sessionTarget } from "./devices.js";
import type { Runtime } from "./types.js";

/** The target of a model with constant weights: in blocks of channels where these suit what it gives. */
export async function inferenceTarget(
  runtime: Runtime,
  device: DeviceName,
  outputs: readonly Tensor[],
): Promise<Target> {
  const block = suitsBlocks(outputs) ? await runtime.channelBlock(device) : undefined;
  return sessionTarget(device, suitsBlocks(outputs, block) ? block : undefined);
}
