import { create, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  TensorProto_DataType,
  TypeProto_SequenceSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "./generated/onnx_pb.js";

/**
 * A model with one more output, before its own: a sequence without elements. Protocol buffers that stand one after the other are merged
 * by whoever reads them, so that the model itself is not decoded.
 */
export function withEmptySequence(model: Uint8Array, output: string): Uint8Array {
  const elements = create(TypeProtoSchema, {
    value: {
      case: "tensorType",
      value: create(TypeProto_TensorSchema, { elemType: TensorProto_DataType.FLOAT }),
    },
  });
  const type = create(TypeProtoSchema, {
    value: { case: "sequenceType", value: create(TypeProto_SequenceSchema, { elemType: elements }) },
  });
  const graph = create(GraphProtoSchema, {
    node: [create(NodeProtoSchema, { name: output, opType: "SequenceEmpty", output: [output] })],
    output: [create(ValueInfoProtoSchema, { name: output, type })],
  });
  const before = toBinary(ModelProtoSchema, create(ModelProtoSchema, { graph }));
  const bytes = new Uint8Array(before.length + model.length);
  bytes.set(before);
  bytes.set(model, before.length);
  return bytes;
}
