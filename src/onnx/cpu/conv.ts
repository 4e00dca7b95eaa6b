import type { Emitter } from "../../graph/emitter.js";
import { type ConvSizes, type ConvWindow, convNode } from "../../ops/conv-node.js";
import { int64Vector, strideNode } from "../../ops/nodes.js";
import { windowCounts } from "../../ops/window.js";
import {
  blockedConvNode,
  blockedFilters,
  blockedMirroredFilters,
  channelBlock,
  filtersOfFewChannels,
  fromBlocks,
  mirroredDepthwiseFilters,
  toBlocks,
  wholeBlocks,
} from "./layout.js";

/** Results of fewer positions are not worth the reordering. */
const leastPositions = 16;

/** Nor are products of so few elements that they wait for memory. */
const leastWindow = 16;

/** What of a convolution comes in blocks. */
interface BlockedConvOptions {
  /** Filters of single elements as well. */
  readonly pointwise?: boolean;
}

/** Which side of a convolution the filters come from: their own, or that of the gradient of its input. */
type FilterForm = "straight" | "mirrored";

/**
 * A convolution in ONNX Runtime's blocked layout, where the target has one and the sizes suit it. Its own optimizer chooses the layout
 * for constant filters alone; those of a training step change.
 * @param operands input, filters and perhaps a bias
 * @param sizes.weight the filters as the convolution applies them: [K, C/groups, R, S]
 * @param form `mirrored`: the operand holds [C, K/groups, R, S], to be turned around
 */
export function blockedConv(
  emit: Emitter,
  [x, w, bias]: readonly string[],
  { input, weight }: ConvSizes,
  window: ConvWindow,
  form: FilterForm,
  { pointwise = false }: BlockedConvOptions = {},
): string | undefined {
  const block = channelBlock(emit.target);
  if (block === 0 || weight.length !== 4) return undefined;
  const [outputs, perGroup, ...kernel] = weight as [number, number, number, number];
  const positions = windowCounts(input, kernel, window).reduce((product, count) => product * count);
  if (positions < leastPositions || outputs % 4 !== 0) return undefined;
  const depthwise = window.groups > 1 && window.groups === outputs && perGroup === 1;
  const grouped = window.groups > 1 && !depthwise;
  if (grouped && !hasWholeGroups()) return undefined;
  const taps = kernel[0]! * kernel[1]!;
  if (taps === 1 && !pointwise) {
    // A matrix product, which is as fast on the plain layout.
    return depthwise || grouped ? undefined : stridedProduct();
  }
  if (!depthwise && taps * perGroup < leastWindow) return undefined;
  const fewInputs = !depthwise && form === "straight" && perGroup < block && outputs % block === 0;
  if (!depthwise && !fewInputs && perGroup % 4 !== 0) return undefined;

  const whole = wholeBlocks(outputs, block);
  const missing = whole - outputs;
  const biasBlocks = bias && (missing > 0 ? emit.node("Pad", [bias, int64Vector(emit, [0, missing])]) : bias);
  const y = blockedConvNode(
    emit,
    [fewInputs ? x! : toBlocks(emit, x!), filters(), ...(biasBlocks ? [biasBlocks] : [])],
    { ...window, kernel, groups: depthwise ? whole : window.groups },
  );
  return fromBlocks(emit, y, outputs);

  /** Groups of whole blocks; mirrored ones would have to be turned around group by group. */
  function hasWholeGroups(): boolean {
    return form === "straight" && [perGroup, outputs / window.groups].every((count) => count % block === 0);
  }

  /** With a stride, a product of the positions that it leaves; the gradient of the filters reads the same ones. */
  function stridedProduct(): string | undefined {
    const { stride, padding } = window;
    if (stride.every((step) => step === 1) || padding.some((count) => count > 0)) return undefined;
    const image = strideNode(emit, x!, input, stride);
    const left = input.map((size, axis) => Math.ceil(size / stride[axis]!));
    const operands = [image, w!, ...(bias === undefined ? [] : [bias])];
    return convNode(emit, operands, { input: left, weight }, { ...window, stride: [1, 1] });
  }

  function filters(): string {
    const [height, width] = kernel as [number, number];
    const shape = [outputs, perGroup, height, width] as const;
    if (form === "straight") {
      return (depthwise || fewInputs ? filtersOfFewChannels : blockedFilters)(emit, w!, shape);
    }
    if (depthwise) return mirroredDepthwiseFilters(emit, w!, shape);
    return blockedMirroredFilters(emit, w!, [perGroup, outputs, height, width]);
  }
}
