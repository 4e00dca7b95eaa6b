import { checkNumber } from "../base/check.js";
import { elementCount, type HostTensor } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";

/** The values that stand for no image. @throws ShapeError for an image of another shape; OptionError for a value that is no number */
export function baselineImage(
  baseline: number | HostTensor | undefined,
  imageShape: readonly number[],
): Float32Array {
  if (typeof baseline === "object") {
    if (baseline.dtype !== "float32" || baseline.shape.join() !== imageShape.join()) {
      throw new ShapeError(
        `explain: baseline must be float32 [${imageShape.join(", ")}], found ${baseline.dtype} [${baseline.shape.join(", ")}]`,
      );
    }
    return baseline.data as Float32Array;
  }
  const value = baseline ?? 0;
  checkNumber("explain", "baseline", value);
  return new Float32Array(elementCount(imageShape)).fill(value);
}
