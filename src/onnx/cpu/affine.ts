import { elementCount } from "../../base/dtype.js";
import type { Emitter } from "../../graph/emitter.js";
import { isConcrete, type Shape, sameShape } from "../../graph/size.js";
import type { PairCall, ResultOfPair } from "../../ops/cpu-forms.js";
import { int64Vector, reshapeNode } from "../../ops/nodes.js";

/*
 * A product with values per sample and channel that a sum with such values follows, as one pass over the image: BatchNormalization with
 * mean 0 and variance 1 of an image whose channels are those of all samples.
 */

/** Forms under which a product keeps its operands. The product itself is left out of the model where nothing else reads it. */
const [scaled, scale] = ["scaled", "scale"];

/** True for [N, C, 1, ...] beside [N, C, ...]. */
function isPerChannel(values: Shape, image: Shape): boolean {
  return (
    image.length > 2 &&
    isConcrete(image) &&
    elementCount(image.slice(2)) > 1 &&
    sameShape(
      values,
      image.map((size, axis) => (axis < 2 ? size : 1)),
    )
  );
}

/** True where the other operand is stretched over the image's positions. */
function meets(values: Shape, image: Shape): boolean {
  const lead = image.length - values.length;
  return (
    lead >= 0 && values.every((size, axis) => size === 1 || (axis + lead < 2 && size === image[axis + lead]))
  );
}

/** Notes the operands of a product with values per sample and channel; undefined for any other product. */
export function notedScale(
  emit: Emitter,
  [a, b]: readonly string[],
  { inputs: [left, right] }: PairCall,
): string | undefined {
  const swapped = isPerChannel(left.shape, right.shape);
  if (emit.target.kind !== "cpu" || !(swapped || isPerChannel(right.shape, left.shape))) return undefined;
  const y = emit.node("Mul", [a!, b!]);
  emit.addForm(y, scaled, swapped ? b! : a!);
  emit.addForm(y, scale, swapped ? a! : b!);
  return y;
}

/** A sum of a noted product and values per channel. */
export function scaleAndShift(
  emit: Emitter,
  operands: readonly string[],
  { inputs, output: { shape } }: ResultOfPair,
): string | undefined {
  const at = operands.findIndex((operand) => emit.form(operand, scaled) !== undefined);
  if (at < 0 || !sameShape(inputs[at]!.shape, shape) || !isConcrete(shape)) return undefined;
  const values = inputs[1 - at]!;
  if (!meets(values.shape, shape)) return undefined;
  const perChannel = shape.map((size, axis) => (axis < 2 ? size : 1));
  const shift = sameShape(values.shape, perChannel)
    ? operands[1 - at]!
    : emit.node("Expand", [operands[1 - at]!, int64Vector(emit, perChannel)]);
  const channels = elementCount(perChannel);
  const constant = (value: number) =>
    emit.constant({ dtype: "float32", shape: [channels], data: new Float32Array(channels).fill(value) });
  const image = reshapeNode(emit, emit.form(operands[at]!, scaled)!, [1, channels, ...shape.slice(2)]);
  const [factor, offset] = [emit.form(operands[at]!, scale)!, shift].map((name) =>
    reshapeNode(emit, name, [channels]),
  );
  const y = emit.node("BatchNormalization", [image, factor!, offset!, constant(0), constant(1)], {
    epsilon: { float: 0 },
  });
  return reshapeNode(emit, y, shape);
}
