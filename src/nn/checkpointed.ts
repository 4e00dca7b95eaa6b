import { checkpoint } from "../ops/checkpoint.js";

/** The names of an object's methods. */
type MethodOf<L> = { [M in keyof L]: L[M] extends (...args: never[]) => unknown ? M : never }[keyof L];

/**
 * Makes the forward pass of a layer one whose intermediates are computed again in the backward pass (`checkpoint`): a block or a stage
 * of a network, whose memory in training then is that of its input. Paths, values and gradients stay as they are.
 *
 *     for (const block of resnet.stages.flat()) checkpointed(block);
 *     for (const block of vit.blocks) checkpointed(block, "encode");
 *
 * @param method the one that is the forward pass, where it is not `forward`
 * @returns the layer itself
 */
export function checkpointed<L extends { readonly forward: unknown } & object>(layer: L): L;
export function checkpointed<L extends object>(layer: L, method: MethodOf<L>): L;
export function checkpointed<L extends object>(layer: L, method: PropertyKey = "forward"): L {
  const computation = Reflect.get(layer, method) as Parameters<typeof checkpoint>[0];
  // Not enumerable: the layer's own entries are its variables and parts.
  Object.defineProperty(layer, method, { value: checkpoint(computation.bind(layer)), enumerable: false });
  return layer;
}
