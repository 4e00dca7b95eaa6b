import { bytesPerElement, elementCount, type HostTensor, hostArray } from "../base/dtype.js";
import { DeviceError, ShapeError } from "../base/errors.js";
import type { TensorInfo } from "./types.js";

/** "float32 [2, 3]" */
function describe({
  dtype,
  shape,
}: {
  readonly dtype: string;
  readonly shape: readonly (number | string)[];
}): string {
  return `${dtype} [${shape.join(", ")}]`;
}

/** Refuses a tensor whose array is of another type or length than its dtype and shape say. @throws ShapeError */
export function checkHostTensor(what: string, tensor: HostTensor): void {
  const { dtype, shape, data } = tensor;
  if (bytesPerElement[dtype] === undefined)
    throw new ShapeError(`${what} has dtype ${String(dtype)}, which no graph has`);
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw new ShapeError(`${what} has shape [${shape.join(", ")}]; sizes are whole numbers`);
  }
  const expected = hostArray(dtype, 0).constructor as { readonly name: string };
  if (
    data.BYTES_PER_ELEMENT !== bytesPerElement[dtype] ||
    Object.prototype.toString.call(data) !== `[object ${expected.name}]`
  ) {
    throw new ShapeError(
      `${what} is ${describe(tensor)} in a ${data.constructor.name}; expected a ${expected.name}`,
    );
  }
  if (data.length !== elementCount(shape)) {
    throw new ShapeError(
      `${what} is ${describe(tensor)} with ${data.length} elements; expected ${elementCount(shape)}`,
    );
  }
}

/** Refuses a tensor that does not fit an input. Symbolic sizes fit anything. @throws ShapeError */
export function checkFits(
  what: string,
  tensor: Pick<HostTensor, "dtype" | "shape">,
  info: Pick<TensorInfo, "dtype" | "shape">,
): void {
  const { dtype, shape } = info;
  const fits =
    tensor.dtype === dtype &&
    tensor.shape.length === shape.length &&
    shape.every((size, axis) => typeof size === "string" || size === tensor.shape[axis]);
  if (!fits) throw new ShapeError(`${what} is ${describe(tensor)}; expected ${describe(info)}`);
}

/** The entry of a name. @throws DeviceError that lists the names there are */
export function lookUp<T>(entries: ReadonlyMap<string, T>, name: string, what: string): T {
  const entry = entries.get(name);
  if (entry === undefined) {
    const names = [...entries.keys()];
    const shown =
      names.length > 12 ? `${names.slice(0, 12).join(", ")}, ... (${names.length})` : names.join(", ");
    throw new DeviceError(`${what} '${name}' does not exist; there are: ${shown || "none"}`);
  }
  return entry;
}
