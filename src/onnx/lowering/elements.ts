import { type Shape, sizeOf } from "../../graph/size.js";

/** Number of elements; of one sample where the batch is symbolic. */
export function elements(shape: Shape): number {
  const size = sizeOf(shape);
  return typeof size === "number" ? size : size.factor;
}
