import type { Tensor, TensorConstructor } from "onnxruntime-common";
import { bytesPerElement, type DType, type HostArray, type HostTensor } from "../base/dtype.js";
import { DeviceError } from "../base/errors.js";

/** The dtype of a type of ONNX Runtime. @throws DeviceError for a type that graphs do not have */
export function dtypeOfOrt(what: string, type: string): DType {
  if (Object.hasOwn(bytesPerElement, type)) return type as DType;
  throw new DeviceError(`${what} has type ${type}; expected ${Object.keys(bytesPerElement).join(", ")}`);
}

/** A tensor of ONNX Runtime over the same array. */
export function toOrtTensor(tensor: TensorConstructor, { dtype, shape, data }: HostTensor): Tensor {
  switch (dtype) {
    case "float32":
      return new tensor(dtype, data as Float32Array, shape);
    case "int64":
      return new tensor(dtype, data as BigInt64Array, shape);
    case "bool":
      return new tensor(dtype, data as Uint8Array, shape);
  }
}

/** The tensor over the same array; it has to be in the host's memory. */
export function toHostTensor(tensor: Tensor): HostTensor {
  return {
    dtype: dtypeOfOrt("a tensor", tensor.type),
    shape: tensor.dims,
    data: tensor.data as HostArray,
  };
}
