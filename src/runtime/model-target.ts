import type { Target } from "../graph/emitter.js";
import type { Tensor } from "../graph/tensor.js";
import { hasGates, hasWholeBlocks } from "../onnx/cpu/suits-blocks.js";
import type { EmitRequest } from "../onnx/emit.js";
import { type DeviceName, sessionTarget } from "./devices.js";
import type { Runtime } from "./types.js";

/** The target of a model for a device. With constant weights it is in blocks of channels only where these suit what the model gives. */
export async function modelTarget(
  runtime: Runtime,
  device: DeviceName,
  variablesAs: EmitRequest["variablesAs"],
  outputs: readonly Tensor[],
): Promise<Target> {
  const isConstant = variablesAs === "initializers";
  const block = isConstant && !hasGates(outputs) ? undefined : await runtime.channelBlock(device);
  const isWhole = block === undefined || !isConstant || hasWholeBlocks(outputs, block);
  return sessionTarget(device, isWhole ? block : undefined);
}
