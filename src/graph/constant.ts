import { type DType, elementCount, type HostArray, hostArray } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import { constantOp } from "./leaf.js";
import { Tensor } from "./tensor.js";

/**
 * A tensor of fixed values. A number is a scalar; an array is given its shape, or is a vector.
 * @throws ShapeError where the number of values does not fit the shape, or an int64 is no integer
 */
export function constant(
  value: number | readonly number[] | HostArray,
  options: { shape?: readonly number[]; dtype?: DType } = {},
): Tensor {
  const dtype = options.dtype ?? "float32";
  const list = typeof value === "number" ? [value] : value;
  const shape = options.shape ?? (typeof value === "number" ? [] : [list.length]);
  if (elementCount(shape) !== list.length) {
    throw new ShapeError(`constant of shape [${shape.join(", ")}] cannot hold ${list.length} values`);
  }
  const data = hostArray(dtype, list.length);
  for (let index = 0; index < list.length; index++) {
    const element = list[index] as number | bigint;
    if (data instanceof BigInt64Array) data[index] = integer(element);
    else data[index] = dtype === "bool" ? Number(Number(element) !== 0) : Number(element);
  }
  return new Tensor({
    op: constantOp,
    inputs: [],
    attributes: { value: { dtype, shape, data } },
    shape,
    dtype,
    scope: "",
  });
}

function integer(element: number | bigint): bigint {
  if (typeof element === "number" && !Number.isSafeInteger(element)) {
    throw new ShapeError(`constant of int64 cannot hold ${element}`);
  }
  return BigInt(element);
}
