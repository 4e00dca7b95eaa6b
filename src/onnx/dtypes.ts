import type { DType } from "../base/dtype.js";
import { TensorProto_DataType } from "./generated/onnx_pb.js";

/** TensorProto.DataType of each dtype of a graph. */
export const dataTypeOf: Readonly<Record<DType, TensorProto_DataType>> = {
  float32: TensorProto_DataType.FLOAT,
  int64: TensorProto_DataType.INT64,
  bool: TensorProto_DataType.BOOL,
};

const dtypes = new Map<number, DType>(
  (Object.keys(dataTypeOf) as DType[]).map((dtype) => [dataTypeOf[dtype], dtype]),
);

/** The dtype of a TensorProto.DataType, or undefined where a graph has none. */
export function dtypeOf(dataType: number): DType | undefined {
  return dtypes.get(dataType);
}

/** The ONNX name of a TensorProto.DataType, for messages. */
export function dataTypeName(dataType: number): string {
  return TensorProto_DataType[dataType] ?? `data type ${dataType}`;
}
