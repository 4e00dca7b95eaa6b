import { OptionError } from "../base/errors.js";
import { multiplySizes, type Size } from "../graph/size.js";

/**
 * A size as a mechanism declares it: a number, a name (`batch`, `height`) that means the same size wherever it stands, or a sum of
 * products of such (`height*width`, `height+width`, `2*frames-1`).
 */
export type NamedSize = string | number;

/** Concrete sizes of named axes. */
export type Sizes = Readonly<Record<string, number>>;

/** Stands in a shape for any number of axes. */
export const anyAxes = "...";

/** The names in a declared size. */
export function namesIn(size: NamedSize): string[] {
  return typeof size === "number" ? [] : (size.match(/[A-Za-z]\w*/g) ?? []);
}

/**
 * The value of a declared size. The batch may be symbolic where it is only multiplied.
 * @throws OptionError for a name without a size, or a declaration that is no sum of products
 */
export function resolveSize(size: NamedSize, sizes: Readonly<Record<string, Size>>): Size {
  if (typeof size === "number") return size;
  const terms = size.replaceAll(" ", "").split(/(?=[+-])/);
  const values = terms.map((term): [sign: number, value: Size] => [
    term.startsWith("-") ? -1 : 1,
    term
      .replace(/^[+-]/, "")
      .split("*")
      .map((factor) => factorValue(factor, size, sizes))
      .reduce(multiplySizes),
  ]);
  const [first] = values;
  if (values.length === 1 && first && first[0] === 1) return first[1];
  return values.reduce((total, [sign, value]) => {
    if (typeof value !== "number")
      throw new OptionError(`size "${size}" needs a concrete batch, found ${value}`);
    return total + sign * value;
  }, 0);
}

function factorValue(factor: string, size: string, sizes: Readonly<Record<string, Size>>): Size {
  if (/^\d+$/.test(factor)) return Number(factor);
  if (!/^[A-Za-z]\w*$/.test(factor)) {
    throw new OptionError(`size "${size}": expected a sum of products of names and integers`);
  }
  const value = Object.hasOwn(sizes, factor) ? sizes[factor] : undefined;
  if (value === undefined) {
    throw new OptionError(
      `size "${size}": no size is given for ${factor}; given are ${Object.keys(sizes).join(", ")}`,
    );
  }
  return value;
}

/** A declared shape in concrete sizes. @throws OptionError as `resolveSize`, or for a shape of open rank */
export function resolveShape(
  shape: readonly NamedSize[],
  sizes: Readonly<Record<string, Size>>,
): readonly Size[] {
  return shape.map((size) => resolveSize(size, sizes));
}
