import type { Emitter } from "../../graph/emitter.js";
import type { Call } from "../../graph/operator.js";
import { sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import { conv } from "../../ops/conv.js";
import { batchNorm } from "../../ops/normalize.js";

/**
 * The mean over all positions behind a convolution with constant filters, as a pool. ONNX Runtime brings such convolutions into its blocks
 * of channels, and pools in that layout; a mean takes it out of it. (On the plain layout the mean is the faster one.)
 */
export function globalAverage(
  emit: Emitter,
  [x]: readonly string[],
  call: Call<[x: Tensor], { readonly axes?: readonly number[]; readonly keepDims?: boolean }>,
): string | undefined {
  const [tensor] = call.inputs;
  const { axes = [], keepDims = true } = call.attributes;
  const isPool = tensor.rank === 4 && axes.join() === "2,3" && keepDims;
  if (!isPool || !isConvolved(tensor)) return undefined;
  return emit.node("GlobalAveragePool", [x!]);
}

/** True for what element-wise operators make of results of convolutions, normalized or not, alone. */
export function isConvolved(tensor: Tensor): boolean {
  const seen = new Set<Tensor>();
  const open = [tensor];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (seen.has(at) || at.op === conv) continue;
    seen.add(at);
    const { op, inputs } = at;
    if (op === batchNorm) open.push(inputs[0]!);
    else if (op.definition.elementwise && inputs.length > 0) {
      const { shape } = at;
      if (!inputs.every((input) => sameShape(input.shape, shape) || input.rank === 0)) return false;
      open.push(...inputs.filter(({ rank }) => rank > 0));
    } else return false;
  }
  return true;
}
