import { checkpoint } from "../ops/checkpoint.js";
import type { Layer } from "./sequential.js";

/**
 * Makes the forward pass of a layer one whose intermediates are computed again in the backward pass (`checkpoint`): a block or a stage
 * of a network, whose memory in training then is that of its input. Paths, values and gradients stay as they are.
 *
 *     for (const block of resnet.stages.flat()) checkpointed(block);
 *
 * @returns the layer itself
 */
export function checkpointed<L extends Layer>(layer: L): L {
  const forward = layer.forward.bind(layer);
  // Not enumerable: the layer's own entries are its variables and parts.
  Object.defineProperty(layer, "forward", { value: checkpoint(forward), enumerable: false });
  return layer;
}
