import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { dataTypeOf } from "./dtypes.js";
import { GraphProtoSchema, ModelProtoSchema, TensorProtoSchema } from "./generated/onnx_pb.js";

/** A named initializer of a model. */
export interface Initializer {
  readonly name: string;
  readonly tensor: HostTensor;
}

/** Largest size of a protocol-buffer message. */
const maxModelBytes = 2 ** 31 - 1;

/**
 * Encodes a model. Its weights are written once, to where they belong: nested messages of a general encoder are copied on each level and
 * into buffers that double, which takes three times the model's size and most of the time.
 * @throws FormatError if it is larger than a protocol-buffer message can be
 */
export function encodeModel(
  model: Omit<MessageInitShape<typeof ModelProtoSchema>, "graph">,
  graph: Omit<MessageInitShape<typeof GraphProtoSchema>, "initializer">,
  initializers: readonly Initializer[],
): Uint8Array {
  const { graph: graphField } = ModelProtoSchema.field;
  const { initializer: initializerField } = GraphProtoSchema.field;
  const { rawData: dataField } = TensorProtoSchema.field;
  const nested: Uint8Array[] = [toBinary(GraphProtoSchema, create(GraphProtoSchema, graph as object))];
  for (const { name, tensor } of initializers) {
    const { dtype, shape } = tensor;
    const about = { name, dataType: dataTypeOf[dtype], dims: shape.map(BigInt) };
    const bytes = bytesOf(tensor);
    const head = toBinary(TensorProtoSchema, create(TensorProtoSchema, about));
    const dataHead = headOf(dataField.number, bytes.length);
    const length = head.length + dataHead.length + bytes.length;
    nested.push(headOf(initializerField.number, length), head, dataHead, bytes);
  }
  const size = sizeOf(nested);
  const parts = [
    toBinary(ModelProtoSchema, create(ModelProtoSchema, model as object)),
    headOf(graphField.number, size),
    ...nested,
  ];
  return joined(parts);
}

/** Bytes of a tensor as ONNX stores them. Every platform that ONNX Runtime runs on is little-endian. */
export function bytesOf({ data }: HostTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** What stands before a nested message or bytes of some length. */
function headOf(field: number, length: number): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(length).finish();
}

function sizeOf(parts: readonly Uint8Array[]): number {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  if (total <= maxModelBytes) return total;
  throw new FormatError(`the model takes ${total} bytes; an ONNX file holds at most ${maxModelBytes}`);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(sizeOf(parts));
  let end = 0;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.length;
  }
  return bytes;
}
