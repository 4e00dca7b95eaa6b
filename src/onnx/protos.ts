import { create } from "@bufbuild/protobuf";
import { FormatError } from "../base/errors.js";
import { dataTypeOf } from "./dtypes.js";
import {
  type AttributeProto,
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "./generated/onnx_pb.js";
import type { BranchRecord, NodeRecord, ValueRecord } from "./graph-records.js";

/** Names of values that differ from those they were made under. */
export type Renamed = ReadonlyMap<string, string>;

/** A node as ONNX stores it. @throws FormatError for an attribute that is no integer where one is due */
export function nodeProto(node: NodeRecord, renamed: Renamed): NodeProto {
  return create(NodeProtoSchema, {
    name: node.name,
    opType: node.opType,
    // The default domain is left out, as other exporters do.
    ...(node.domain === "" ? {} : { domain: node.domain }),
    input: node.inputs.map((name) => renamed.get(name) ?? name),
    output: node.outputs.map((name) => renamed.get(name) ?? name),
    attribute: Object.entries(node.attributes).map(([name, value]) =>
      attributeProto({ node: node.name, name, renamed }, value),
    ),
  });
}

function attributeProto(
  { node, name, renamed }: { readonly node: string; readonly name: string; readonly renamed: Renamed },
  value: NodeRecord["attributes"][string],
): AttributeProto {
  const integer = (x: number): bigint => {
    if (!Number.isSafeInteger(x))
      throw new FormatError(`${node}: attribute ${name} is ${x}; expected an integer`);
    return BigInt(x);
  };
  const type = AttributeProto_AttributeType;
  if ("int" in value) {
    return create(AttributeProtoSchema, { name, type: type.INT, i: integer(value.int) });
  }
  if ("ints" in value) {
    return create(AttributeProtoSchema, { name, type: type.INTS, ints: value.ints.map(integer) });
  }
  if ("float" in value) return create(AttributeProtoSchema, { name, type: type.FLOAT, f: value.float });
  if ("floats" in value) {
    return create(AttributeProtoSchema, { name, type: type.FLOATS, floats: [...value.floats] });
  }
  if ("graph" in value) {
    return create(AttributeProtoSchema, { name, type: type.GRAPH, g: branchProto(value.graph, renamed) });
  }
  return create(AttributeProtoSchema, { name, type: type.STRING, s: new TextEncoder().encode(value.string) });
}

function branchProto({ name, nodes, outputs }: BranchRecord, renamed: Renamed): GraphProto {
  return create(GraphProtoSchema, {
    name,
    node: nodes.map((node) => nodeProto(node, renamed)),
    output: outputs.map((output) => valueInfo({ ...output, name: renamed.get(output.name) ?? output.name })),
  });
}

/** An input or output as ONNX stores it. */
export function valueInfo({ name, dtype, shape }: ValueRecord): ValueInfoProto {
  const dim = shape.map((size) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        typeof size === "number"
          ? { case: "dimValue", value: BigInt(size) }
          : { case: "dimParam", value: size },
    }),
  );
  const tensor = create(TypeProto_TensorSchema, {
    elemType: dataTypeOf[dtype],
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: "tensorType", value: tensor } }),
  });
}
