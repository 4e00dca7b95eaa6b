import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { ModelBuilder } from "../../src/onnx/builder.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import {
  AttributeProto_AttributeType,
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProto_DataType,
  TypeProtoSchema,
} from "../../src/onnx/generated/onnx_pb.js";

type Init<T> = { [K in keyof T]?: unknown };

const vector = (elemType = 1) => ({
  value: {
    case: "tensorType",
    value: { elemType, shape: { dim: [{ value: { case: "dimValue", value: 2n } }] } },
  },
});
const tensor = (init: Init<TensorProto>) => ({
  name: "w",
  dataType: TensorProto_DataType.FLOAT,
  dims: [2n],
  ...init,
});

/** Bytes of a model y = Neg(x) with changes. */
function modelBytes(graph: Init<GraphProto> = {}, model: Init<ModelProto> = {}): Uint8Array {
  const message = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [{ domain: "", version: 21n }],
    graph: {
      name: "g",
      input: [{ name: "x", type: vector() }],
      output: [{ name: "y", type: vector() }],
      node: [{ opType: "Neg", name: "n", input: ["x"], output: ["y"] }],
      ...graph,
    },
    ...model,
  } as Parameters<typeof create<typeof ModelProtoSchema>>[1]);
  return toBinary(ModelProtoSchema, message);
}

const attributed = (attribute: object) => ({
  node: [{ opType: "Neg", name: "n", input: ["x"], output: ["y"], attribute: [attribute] }],
});

/** A small model with every part that the builder writes. */
function smallModel(): Uint8Array {
  const builder = new ModelBuilder({ kind: "portable", opset: 21 });
  const x = builder.input("x", "float32", ["batch", 2]);
  const w = builder.initializer("w", {
    dtype: "float32",
    shape: [2, 3],
    data: Float32Array.of(1, 2, 3, 4, 5, 6),
  });
  const y = builder.node("Gemm", [x, w], { alpha: { float: 2 }, transB: { int: 0 } });
  const one = builder.constant({ dtype: "int64", shape: [1], data: BigInt64Array.of(1n) });
  builder.output("sum", "float32", ["batch"], builder.node("ReduceSum", [y, one], { keepdims: { int: 0 } }));
  return builder.build({ producerVersion: "0.0.0", metadata: { key: "value" } });
}

describe("decodeModel", () => {
  it("reads a model that ONNX Runtime runs", async () => {
    const bytes = smallModel();
    const session = await InferenceSession.create(bytes);
    const { sum } = await session.run({ x: new Tensor("float32", Float32Array.of(1, 0, 1, 1), [2, 2]) });
    expect([...(sum!.data as Float32Array)]).toEqual([12, 42]);
    await session.release();
    expect(decodeModel(bytes).nodes.map(({ opType }) => opType)).toEqual(["Gemm", "ReduceSum"]);
  });

  it("answers every truncation with a FormatError or a valid model", () => {
    const bytes = smallModel();
    let refused = 0;
    for (let length = 0; length < bytes.length; length++) {
      try {
        decodeModel(bytes.subarray(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(bytes.length * 0.8);
  });

  it("answers changed and random bytes with a FormatError or a valid model", () => {
    const bytes = smallModel();
    const decode = (input: Uint8Array) => {
      try {
        decodeModel(input);
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    };
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.nat(255), (at, value, next) => {
        const changed = bytes.slice();
        changed[at] = value;
        changed[Math.min(at + 1, bytes.length - 1)] = next;
        decode(changed);
      }),
      { numRuns: 2000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decode), { numRuns: 500 });
  });

  it("refuses nesting that no model has", () => {
    // sequence_type { elem_type { sequence_type ... } }, 50,000 levels deep
    let nested = toBinary(TypeProtoSchema, create(TypeProtoSchema));
    const chunks: Uint8Array[] = [];
    let length = nested.length;
    const varint = (value: number) => {
      const out: number[] = [];
      for (; value > 127; value = Math.floor(value / 128)) out.push((value % 128) | 128);
      return [...out, value];
    };
    for (let depth = 0; depth < 50_000; depth++) {
      const inner = [0x0a, ...varint(length)];
      const outer = [0x22, ...varint(length + inner.length)];
      chunks.push(Uint8Array.from([...outer, ...inner]));
      length += inner.length + outer.length;
    }
    nested = Uint8Array.from(
      [0x12, ...varint(length)].concat(...chunks.reverse().map((chunk) => [...chunk])),
    );
    const input = Uint8Array.from([0x5a, ...varint(nested.length), ...nested]);
    const decode = () => decodeModel(Uint8Array.from([0x3a, ...varint(input.length), ...input]));
    expect(decode).toThrow(FormatError);
    expect(decode).toThrow(/recursion/);
  });

  it("reads values that are stored as typed lists", () => {
    const model = decodeModel(
      modelBytes({
        initializer: [
          tensor({ name: "a", floatData: [1.5, -2] }),
          tensor({ name: "b", dataType: TensorProto_DataType.INT64, int64Data: [3n, -4n] }),
          tensor({ name: "c", dataType: TensorProto_DataType.BOOL, int32Data: [0, 1] }),
          tensor({ name: "d", dims: [0n, 7n] }),
        ],
      }),
    );
    expect([...model.initializers.values()].map(({ data }) => data)).toEqual([
      Float32Array.of(1.5, -2),
      BigInt64Array.of(3n, -4n),
      Uint8Array.of(0, 1),
      new Float32Array(0),
    ]);
  });

  it("reads tensor and string list attributes", () => {
    const { TENSOR, STRINGS } = AttributeProto_AttributeType;
    const attribute = (init: object) =>
      decodeModel(modelBytes(attributed({ name: "a", ...init }))).nodes[0]!.attributes;
    expect(attribute({ type: TENSOR, t: tensor({ floatData: [1, 2] }) })).toEqual({
      a: { tensor: { dtype: "float32", shape: [2], data: Float32Array.of(1, 2) } },
    });
    expect(attribute({ type: STRINGS, strings: [Uint8Array.of(104, 105)] })).toEqual({
      a: { strings: ["hi"] },
    });
  });

  it("leaves inputs with an initializer out of the inputs", () => {
    const model = decodeModel(
      modelBytes({
        input: [
          { name: "x", type: vector() },
          { name: "w", type: vector() },
        ],
        initializer: [tensor({ floatData: [1, 2] })],
      }),
    );
    expect(model.inputs.map(({ name }) => name)).toEqual(["x"]);
  });

  const raw = (bytes: number) => new Uint8Array(bytes);
  const { GRAPH, STRING, INT } = AttributeProto_AttributeType;
  const node = (init: object) => ({
    node: [{ opType: "Neg", name: "n", input: ["x"], output: ["y"], ...init }],
  });
  it.each<[string, RegExp, Init<GraphProto>, Init<ModelProto>?]>([
    ["no graph", /no graph/, {}, { graph: undefined }],
    ["no IR version", /ir_version is 0/, {}, { irVersion: 0n }],
    ["no operator set", /default operator set/, {}, { opsetImport: [] }],
    [
      "an operator set twice",
      /twice/,
      {},
      {
        opsetImport: [
          { domain: "", version: 21n },
          { domain: "ai.onnx", version: 20n },
        ],
      },
    ],
    ["functions", /functions/, {}, { functions: [{ name: "f" }] }],
    ["training info", /training info/, {}, { trainingInfo: [{}] }],
    ["sparse initializers", /sparse/, { sparseInitializer: [{}] }],
    [
      "external data",
      /another file/,
      {
        initializer: [
          tensor({
            dataLocation: TensorProto_DataLocation.EXTERNAL,
            externalData: [{ key: "location", value: "../secret" }],
          }),
        ],
      },
    ],
    ["too few raw bytes", /8 bytes, found 7/, { initializer: [tensor({ rawData: raw(7) })] }],
    ["too many raw bytes", /8 bytes, found 9/, { initializer: [tensor({ rawData: raw(9) })] }],
    [
      "a size beyond any memory",
      /found 8/,
      { initializer: [tensor({ dims: [2n ** 52n, 2n ** 52n], rawData: raw(8) })] },
    ],
    ["a size beyond the safe integers", /safe integers/, { initializer: [tensor({ dims: [2n ** 62n] })] }],
    ["a negative size", /size is -1/, { initializer: [tensor({ dims: [-1n] })] }],
    ["too few listed values", /2 elements, found 1/, { initializer: [tensor({ floatData: [1] })] }],
    ["data twice", /twice/, { initializer: [tensor({ floatData: [1, 2], rawData: raw(8) })] }],
    [
      "bools beyond 1",
      /0 or 1/,
      { initializer: [tensor({ dataType: TensorProto_DataType.BOOL, rawData: Uint8Array.of(0, 2) })] },
    ],
    [
      "a dtype that graphs lack",
      /'w' has type DOUBLE/,
      { initializer: [tensor({ dataType: TensorProto_DataType.DOUBLE })] },
    ],
    ["a dtype that ONNX lacks", /'x' has type data type 999/, { input: [{ name: "x", type: vector(999) }] }],
    [
      "an initializer twice",
      /'w' is there twice/,
      { initializer: [tensor({ rawData: raw(8) }), tensor({ rawData: raw(8) })] },
    ],
    ["an input without a type", /'x' is not a tensor/, { input: [{ name: "x" }] }],
    ["an output that nothing defines", /output 'z'/, { output: [{ name: "z", type: vector() }] }],
    ["a value that nothing defines", /reads value 'q'/, node({ input: ["q"] })],
    ["a value that is defined twice", /'x' is defined twice/, node({ output: ["x"] })],
    ["a node without operator", /no operator/, node({ opType: "" })],
    ["a domain that is not imported", /'com.microsoft' is not imported/, node({ domain: "com.microsoft" })],
    ["a subgraph", /GRAPH, which is not supported/, attributed({ name: "a", type: GRAPH, g: {} })],
    ["text that is not UTF-8", /UTF-8/, attributed({ name: "a", type: STRING, s: Uint8Array.of(255) })],
    ["an attribute without name", /without a name/, attributed({ type: INT })],
    ["an integer beyond the safe ones", /safe integers/, attributed({ name: "a", type: INT, i: 2n ** 60n })],
  ])("refuses %s", (_, message, graph, model) => {
    const decode = () => decodeModel(modelBytes(graph, model));
    expect(decode).toThrow(FormatError);
    expect(decode).toThrow(message);
  });
});
