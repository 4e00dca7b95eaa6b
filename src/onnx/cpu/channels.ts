import { elementCount } from "../../base/dtype.js";
import type { Emitter, OnnxAttributes } from "../../graph/emitter.js";
import type { Call } from "../../graph/operator.js";
import { concreteShape, isConcrete, type Shape, sameShape } from "../../graph/size.js";
import type { Tensor } from "../../graph/tensor.js";
import type { PairCall, PoolOperator } from "../../ops/cpu-forms.js";
import { reduceNode, reshapeNode } from "../../ops/nodes.js";
import {
  blockedConvNode,
  blockedMeanNode,
  blockedPool,
  channelBlock,
  fromBlocks,
  longestSum,
  toBlocks,
} from "./layout.js";

/*
 * Operators of a value per channel on tensors in blocks. A product or sum with one is a convolution of single elements in which every
 * channel is a group: as fast as the plain operator, while broadcasting over blocks is not.
 */

/** True for [N, C, H, W] in whole blocks of channels that is at hand in blocks. */
function liesInBlocks(emit: Emitter, operand: string, shape: Shape): boolean {
  const block = channelBlock(emit.target);
  return (
    block > 0 &&
    emit.form(operand, "blocks") !== undefined &&
    shape.length === 4 &&
    isConcrete(shape) &&
    shape[1]! % block === 0
  );
}

/** How a tensor meets values per channel: the image that convolutions take it for, one channel per value. */
function channelsOf(shape: Shape, values: Shape): number | undefined {
  const [samples, channels] = concreteShape(shape) as [number, number];
  if (values.length !== 4 || values[1] !== channels || values[2] !== 1 || values[3] !== 1) return undefined;
  if (values[0] === 1) return channels;
  return values[0] === samples ? samples * channels : undefined;
}

/** x * scale + shift by a scale and a shift for each of so many channels, of several samples if need be. */
function affine(
  emit: Emitter,
  x: string,
  shape: readonly number[],
  groups: number,
  { scale, shift }: { scale?: string; shift?: string },
): string {
  const [, channels, height, width] = shape as [number, number, number, number];
  const whole = groups === channels;
  const image = whole ? toBlocks(emit, x) : reshapeNode(emit, toBlocks(emit, x), [1, groups, height, width]);
  const weights =
    scale === undefined
      ? emit.constant({ dtype: "float32", shape: [groups, 1, 1, 1], data: new Float32Array(groups).fill(1) })
      : reshapeNode(emit, scale, [groups, 1, 1, 1]);
  const bias = shift === undefined ? [] : [reshapeNode(emit, shift, [groups])];
  const y = blockedConvNode(emit, [image, weights, ...bias], { kernel: [1, 1], groups });
  return fromBlocks(emit, whole ? y : reshapeNode(emit, y, shape), channels);
}

/** The tensor and the values per channel that a product or sum in blocks is of. */
function tensorAndValues(emit: Emitter, [a, b]: readonly string[], { inputs }: PairCall) {
  for (const [x, values, first, second] of [
    [a!, b!, inputs[0], inputs[1]],
    [b!, a!, inputs[1], inputs[0]],
  ] as const) {
    if (!liesInBlocks(emit, x, first.shape)) continue;
    const groups = channelsOf(first.shape, second.shape);
    if (groups !== undefined) return { x, values, shape: concreteShape(first.shape), groups };
  }
  return undefined;
}

/** A product with values per channel. */
export function blockedScale(emit: Emitter, operands: readonly string[], call: PairCall): string | undefined {
  const found = tensorAndValues(emit, operands, call);
  return found && affine(emit, found.x, found.shape, found.groups, { scale: found.values });
}

/** A sum with values per channel. */
export function blockedShift(emit: Emitter, operands: readonly string[], call: PairCall): string | undefined {
  const found = tensorAndValues(emit, operands, call);
  return found && affine(emit, found.x, found.shape, found.groups, { shift: found.values });
}

/** A tensor less values per channel. */
export function blockedUnshift(
  emit: Emitter,
  operands: readonly string[],
  call: PairCall,
): string | undefined {
  const found = tensorAndValues(emit, operands, call);
  if (
    found === undefined ||
    found.x !== operands[0] ||
    sameShape(call.inputs[0].shape, call.inputs[1].shape)
  ) {
    return undefined;
  }
  const shift = emit.node("Neg", [found.values]);
  return affine(emit, found.x, found.shape, found.groups, { shift });
}

/** A scale [C] and a shift [C]. */
export function blockedAffine(
  emit: Emitter,
  [x, scale, shift]: readonly string[],
  { inputs: [tensor] }: Call<[x: Tensor, scale: Tensor, shift: Tensor], object>,
): string | undefined {
  if (!liesInBlocks(emit, x!, tensor.shape)) return undefined;
  const shape = concreteShape(tensor.shape);
  return affine(emit, x!, shape, shape[1]!, { scale: scale!, shift: shift! });
}

/** A mean or a sum over the positions, or over positions and samples. */
export function blockedReduction(
  emit: Emitter,
  [x]: readonly string[],
  call: Call<[x: Tensor], { readonly axes?: readonly number[]; readonly keepDims?: boolean }>,
  kind: "mean" | "sum",
): string | undefined {
  const { shape } = call.inputs[0];
  const { axes = [], keepDims = true } = call.attributes;
  const known = axes.join();
  if (!liesInBlocks(emit, x!, shape) || (known !== "2,3" && known !== "0,2,3")) return undefined;
  const [samples, channels, height, width] = concreteShape(shape) as [number, number, number, number];
  const positions = height * width;
  if (Math.max(height, width) > longestSum) return undefined;
  // One position: blocks and [N, C, 1, 1] are the same memory.
  let result = blockedMeanNode(emit, toBlocks(emit, x!), [height, width]);
  if (known === "0,2,3") result = reduceNode(emit, kind === "mean" ? "ReduceMean" : "ReduceSum", result, [0]);
  if (kind === "sum") {
    const count = emit.constant({ dtype: "float32", shape: [1], data: Float32Array.of(positions) });
    result = emit.node("Mul", [result, count]);
  }
  if (keepDims) return result;
  return reshapeNode(emit, result, known === "2,3" ? [samples, channels] : [channels]);
}

/** A mean over all positions as a pool, which adds one position after the other as ONNX Runtime's own pools do. */
export function blockedAverage(
  emit: Emitter,
  [x]: readonly string[],
  call: Call<[x: Tensor], { readonly axes?: readonly number[]; readonly keepDims?: boolean }>,
): string | undefined {
  const { axes = [], keepDims = true } = call.attributes;
  if (!keepDims || axes.join() !== "2,3" || !liesInBlocks(emit, x!, call.inputs[0].shape)) return undefined;
  return blockedPool(emit, "GlobalAveragePool", toBlocks(emit, x!));
}

/** A pool over windows. */
export function blockedWindows(
  emit: Emitter,
  onnxOp: PoolOperator,
  x: string,
  input: Tensor,
  window: OnnxAttributes,
): string | undefined {
  if (!liesInBlocks(emit, x, input.shape)) return undefined;
  return fromBlocks(emit, blockedPool(emit, onnxOp, toBlocks(emit, x), window), input.size(1));
}

/** An element-wise operator of tensors of one shape, and of scalars, knows nothing of the layout. */
export function isLayoutFree(
  emit: Emitter,
  operands: readonly string[],
  inputs: readonly Tensor[],
  output: Tensor,
): boolean {
  const isScalar = ({ shape }: Tensor) => isConcrete(shape) && elementCount(shape) === 1;
  return (
    output.dtype === "float32" &&
    inputs.every(
      (tensor) => tensor.dtype === "float32" && (sameShape(tensor.shape, output.shape) || isScalar(tensor)),
    ) &&
    inputs.some((tensor, index) => liesInBlocks(emit, operands[index]!, tensor.shape))
  );
}
