import { fromBinary } from "@bufbuild/protobuf";
import { bytesPerElement, type DType, type HostArray, type HostTensor, hostArray } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import type { OnnxAttribute } from "../graph/emitter.js";
import { dataTypeName, dtypeOf } from "./dtypes.js";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
  TensorProto_DataLocation,
  type ValueInfoProto,
} from "./generated/onnx_pb.js";
import type { NodeRecord, ValueRecord } from "./graph-records.js";

/** An input or output of a decoded model. A size without number or name is "?". */
export type OnnxValueInfo = ValueRecord;

/** Value of a decoded attribute: what the builder writes, and tensors and lists of strings. */
export type DecodedAttribute =
  | OnnxAttribute
  | { readonly strings: readonly string[] }
  | { readonly tensor: HostTensor };

export type OnnxNode = NodeRecord<DecodedAttribute>;

/** A decoded and validated model. */
export interface OnnxModel {
  readonly irVersion: number;
  readonly producerName: string;
  readonly producerVersion: string;
  /** Version of each operator set by domain; the default domain is "". */
  readonly opsets: ReadonlyMap<string, number>;
  /** Inputs without an initializer. */
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
  /** In an order in which each node follows those that it reads. */
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, HostTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Decodes an ONNX model of one graph with float32, int64 and bool tensors inside the file.
 *
 * Arrays of the result are copies and do not keep `bytes` alive.
 * @throws FormatError for malformed bytes, names that are used before they are defined or defined twice, tensors whose
 *   data do not fit their shape, and what is not supported: external data, subgraphs, functions, sparse tensors.
 */
export function decodeModel(bytes: Uint8Array): OnnxModel {
  let proto: ModelProto;
  try {
    proto = fromBinary(ModelProtoSchema, bytes);
  } catch (cause) {
    // Malformed wire format, or messages nested deeper than the library follows.
    throw new FormatError(`not an ONNX model: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  const graph = proto.graph;
  if (graph === undefined) throw new FormatError("not an ONNX model: it has no graph");
  if (proto.functions.length > 0)
    throw new FormatError("the model has local functions, which are not supported");
  if (proto.trainingInfo.length > 0)
    throw new FormatError("the model has training info, which is not supported");
  if (graph.sparseInitializer.length > 0) {
    throw new FormatError("the model has sparse initializers, which are not supported");
  }

  const initializers = new Map<string, HostTensor>();
  for (const tensor of graph.initializer) {
    unique(initializers, tensor.name, "initializer");
    initializers.set(tensor.name, decodeTensor(tensor, `initializer '${tensor.name}'`));
  }
  const model: OnnxModel = {
    irVersion: wholeNumber(proto.irVersion, 3, "ir_version"),
    producerName: proto.producerName,
    producerVersion: proto.producerVersion,
    opsets: decodeOpsets(proto),
    inputs: graph.input
      .map((value) => decodeValueInfo(value, "input"))
      .filter(({ name }) => !initializers.has(name)),
    outputs: graph.output.map((value) => decodeValueInfo(value, "output")),
    nodes: decodeNodes(graph),
    initializers,
    metadata: decodeMetadata(proto),
  };
  checkValues(model);
  return model;
}

function decodeOpsets(proto: ModelProto): Map<string, number> {
  const opsets = new Map<string, number>();
  for (const { domain, version } of proto.opsetImport) {
    // "ai.onnx" is the default domain's other name.
    const key = domain === "ai.onnx" ? "" : domain;
    if (opsets.has(key)) throw new FormatError(`operator set '${domain}' is imported twice`);
    opsets.set(key, wholeNumber(version, 1, `version of operator set '${domain}'`));
  }
  return opsets;
}

function decodeMetadata(proto: ModelProto): Map<string, string> {
  const metadata = new Map<string, string>();
  for (const { key, value } of proto.metadataProps) {
    unique(metadata, key, "metadata key");
    metadata.set(key, value);
  }
  return metadata;
}

function decodeNodes(graph: GraphProto): OnnxNode[] {
  return graph.node.map((node, index) => {
    const where = `node ${index} '${node.name}'`;
    if (node.opType === "") throw new FormatError(`${where} has no operator`);
    return {
      name: node.name,
      opType: node.opType,
      domain: node.domain === "ai.onnx" ? "" : node.domain,
      inputs: node.input,
      outputs: node.output,
      attributes: decodeAttributes(node, where),
    };
  });
}

function decodeAttributes(node: NodeProto, where: string): Readonly<Record<string, DecodedAttribute>> {
  const attributes = new Map<string, DecodedAttribute>();
  for (const attribute of node.attribute) {
    unique(attributes, attribute.name, `${where}: attribute`);
    attributes.set(attribute.name, decodeAttribute(attribute, `${where}: attribute '${attribute.name}'`));
  }
  return Object.fromEntries(attributes);
}

function decodeAttribute(attribute: AttributeProto, where: string): DecodedAttribute {
  const type = AttributeProto_AttributeType;
  if (attribute.refAttrName !== "")
    throw new FormatError(`${where} refers to a function, which is not supported`);
  switch (attribute.type) {
    case type.INT:
      return { int: integer(attribute.i, where) };
    case type.INTS:
      return { ints: attribute.ints.map((value) => integer(value, where)) };
    case type.FLOAT:
      return { float: attribute.f };
    case type.FLOATS:
      return { floats: attribute.floats };
    case type.STRING:
      return { string: text(attribute.s, where) };
    case type.STRINGS:
      return { strings: attribute.strings.map((value) => text(value, where)) };
    case type.TENSOR:
      if (attribute.t === undefined) throw new FormatError(`${where} is a tensor without a value`);
      return { tensor: decodeTensor(attribute.t, where) };
    default:
      throw new FormatError(
        `${where} has type ${type[attribute.type] ?? attribute.type}, which is not supported`,
      );
  }
}

function decodeTensor(tensor: TensorProto, where: string): HostTensor {
  if (tensor.dataLocation !== TensorProto_DataLocation.DEFAULT || tensor.externalData.length > 0) {
    throw new FormatError(`${where} keeps its data in another file, which is not supported`);
  }
  if (tensor.segment !== undefined) throw new FormatError(`${where} is a segment, which is not supported`);
  const dtype = decodeDtype(tensor.dataType, where);
  const shape = tensor.dims.map((size) => wholeNumber(size, 0, `${where}: size`));
  return { dtype, shape, data: decodeData(tensor, dtype, shape, where) };
}

/** Values of a tensor. The length that is present is compared with the shape before anything is allocated. */
function decodeData(tensor: TensorProto, dtype: DType, shape: readonly number[], where: string): HostArray {
  const count = shape.reduce((product, size) => product * size, 1);
  const expect = (found: number, expected: number, unit: string) => {
    if (found !== expected) {
      throw new FormatError(
        `${where}: ${dtype} of shape [${shape.join()}] has ${expected} ${unit}, found ${found}`,
      );
    }
  };
  const { rawData } = tensor;
  const values: readonly (number | bigint)[] =
    dtype === "float32" ? tensor.floatData : dtype === "int64" ? tensor.int64Data : tensor.int32Data;
  if (rawData.length > 0 && values.length > 0) throw new FormatError(`${where} has its data twice`);
  if (values.length === 0) {
    expect(rawData.length, count * bytesPerElement[dtype], "bytes");
    const data = hostArray(dtype, count);
    new Uint8Array(data.buffer).set(rawData);
    if (dtype === "bool" && rawData.some((byte) => byte > 1)) {
      throw new FormatError(`${where}: a bool is 0 or 1, found another value`);
    }
    return data;
  }
  expect(values.length, count, "elements");
  if (dtype === "int64") return BigInt64Array.from(tensor.int64Data);
  if (dtype === "float32") return Float32Array.from(tensor.floatData);
  return Uint8Array.from(tensor.int32Data, (value) => (value === 0 ? 0 : 1));
}

function decodeValueInfo({ name, type }: ValueInfoProto, kind: "input" | "output"): OnnxValueInfo {
  const where = `${kind} '${name}'`;
  if (name === "") throw new FormatError(`an ${kind} has no name`);
  if (type?.value.case !== "tensorType") throw new FormatError(`${where} is not a tensor`);
  const { elemType, shape } = type.value.value;
  if (shape === undefined) throw new FormatError(`${where} has no shape`);
  return {
    name,
    dtype: decodeDtype(elemType, where),
    shape: shape.dim.map(({ value }) => {
      if (value.case === "dimValue") return wholeNumber(value.value, 0, `${where}: size`);
      return value.case === "dimParam" && value.value !== "" ? value.value : "?";
    }),
  };
}

function decodeDtype(dataType: number, where: string): DType {
  const dtype = dtypeOf(dataType);
  if (dtype === undefined) {
    throw new FormatError(`${where} has type ${dataTypeName(dataType)}; expected FLOAT, INT64 or BOOL`);
  }
  return dtype;
}

/** Every value is defined once, and before it is used; every domain that is used is imported. */
function checkValues({ inputs, outputs, nodes, initializers, opsets }: OnnxModel): void {
  if (!opsets.has("")) throw new FormatError("the model does not import the default operator set");
  const defined = new Set<string>(initializers.keys());
  const define = (name: string, where: string) => {
    if (defined.has(name)) throw new FormatError(`${where}: value '${name}' is defined twice`);
    defined.add(name);
  };
  for (const { name } of inputs) define(name, "inputs");
  for (const node of nodes) {
    const where = `${node.opType} '${node.name}'`;
    if (!opsets.has(node.domain))
      throw new FormatError(`${where}: operator set '${node.domain}' is not imported`);
    for (const input of node.inputs) {
      if (input !== "" && !defined.has(input)) {
        throw new FormatError(`${where} reads value '${input}', which nothing before it defines`);
      }
    }
    for (const output of node.outputs) if (output !== "") define(output, where);
  }
  const names = new Set<string>();
  for (const { name } of outputs) {
    if (!defined.has(name)) throw new FormatError(`output '${name}' is defined by nothing`);
    if (names.has(name)) throw new FormatError(`output '${name}' is listed twice`);
    names.add(name);
  }
}

function unique(seen: ReadonlyMap<string, unknown>, name: string, what: string): void {
  if (name === "") throw new FormatError(`${what} without a name`);
  if (seen.has(name)) throw new FormatError(`${what} '${name}' is there twice`);
}

function integer(value: bigint, where: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new FormatError(`${where} is ${value}, beyond the safe integers`);
  return number;
}

function wholeNumber(value: bigint, smallest: number, where: string): number {
  const number = integer(value, where);
  if (number < smallest) throw new FormatError(`${where} is ${value}; expected at least ${smallest}`);
  return number;
}

function text(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new FormatError(`${where} is not UTF-8 text`, { cause });
  }
}
