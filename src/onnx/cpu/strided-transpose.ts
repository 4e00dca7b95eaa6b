import type { Emitter } from "../../graph/emitter.js";
import { isConcrete } from "../../graph/size.js";
import type { ConvWindow } from "../../ops/conv-node.js";
import type { TransposedSizes } from "../../ops/cpu-forms.js";
import { reshapeNode } from "../../ops/nodes.js";
import {
  blockedConvNode,
  channelBlock,
  fromBlocks,
  mirroredBlocks,
  mirroredTaps,
  toBlocks,
  wholeBlocks,
} from "./layout.js";

/** Products of channels below which ONNX Runtime's ConvTranspose is as fast. */
const leastChannelPairs = 128 * 128;

/** What of one axis reaches the results whose position leaves one remainder by the stride. */
interface Phase {
  /** Elements of the kernel, the last one first. */
  readonly taps: readonly number[];
  readonly before: number;
  readonly after: number;
}

/**
 * A transposed convolution of stride 2 and more over two spatial axes, in blocks: results of each remainder of their positions by the
 * stride are a convolution of stride 1 with every stride-th element of the kernel, and are interleaved.
 * @returns undefined where the target has no blocked layout or the sizes do not suit it
 */
export function blockedStridedTranspose(
  emit: Emitter,
  [x, w]: readonly [string, string],
  { input, weight, outputSize }: TransposedSizes,
  window: ConvWindow,
): string | undefined {
  const block = channelBlock(emit.target);
  const suits =
    block > 0 &&
    weight.length === 4 &&
    isConcrete(input) &&
    window.groups === 1 &&
    window.stride.some((step) => step > 1) &&
    window.dilation.every((step) => step === 1) &&
    window.stride.every((step, axis) => outputSize[axis]! % step === 0);
  if (!suits) return undefined;
  const [samples, outputs, ...inputSize] = input as [number, number, number, number];
  const [, channels, ...kernel] = weight as [number, number, number, number];
  if (outputs % 4 !== 0 || channels % 4 !== 0 || outputs * channels < leastChannelPairs) return undefined;
  const [rows, columns] = [0, 1].map((axis) =>
    phasesOf(kernel[axis]!, window.stride[axis]!, window.padding[axis]!, {
      input: inputSize[axis]!,
      output: outputSize[axis]!,
    }),
  ) as [Phase[] | undefined, Phase[] | undefined];
  if (rows === undefined || columns === undefined) return undefined;

  const [height, width] = [outputSize[0]! / rows.length, outputSize[1]! / columns.length];
  const whole = wholeBlocks(channels, block);
  const image = toBlocks(emit, x);
  const filters = mirroredBlocks(emit, w, [outputs, channels, kernel[0]!, kernel[1]!]);
  const lines = rows.map((row) => {
    const parts = columns.map((column) => phase(row, column));
    const line = emit.node("Concat", parts, { axis: { int: 2 } });
    return reshapeNode(emit, line, [-1, 1, outputSize[1]! * block]);
  });
  const together = reshapeNode(emit, emit.node("Concat", lines, { axis: { int: 1 } }), [
    samples,
    whole,
    outputSize[0]!,
    outputSize[1]!,
  ]);
  return fromBlocks(emit, together, channels);

  /** Results of one remainder of rows and one of columns: [rows of all blocks, columns, 1, b]. */
  function phase(row: Phase, column: Phase): string {
    const size = [row.taps.length, column.taps.length] as const;
    const taps = row.taps.flatMap((y) => column.taps.map((x) => y * kernel[1]! + x));
    const chosen = mirroredTaps(emit, filters, taps, [whole, wholeBlocks(outputs, block), ...size]);
    const padding = [row.before, column.before, row.after, column.after];
    const y = blockedConvNode(emit, [image, chosen], { kernel: size, padding });
    return reshapeNode(emit, y, [(samples * whole * height) / block, width, 1, block]);
  }
}

/** The phases of an axis, undefined where one has no element of the kernel or would cut the input. */
function phasesOf(
  kernel: number,
  stride: number,
  padding: number,
  size: { readonly input: number; readonly output: number },
): Phase[] | undefined {
  const phases = Array.from({ length: stride }, (_, remainder): Phase => {
    const first = (remainder + padding) % stride;
    const taps = [];
    for (let tap = first; tap < kernel; tap += stride) taps.unshift(tap);
    const before = taps.length - 1 - (remainder + padding - first) / stride;
    return { taps, before, after: size.output / stride + taps.length - 1 - before - size.input };
  });
  const works = phases.every(({ taps, before, after }) => taps.length > 0 && before >= 0 && after >= 0);
  return works ? phases : undefined;
}
