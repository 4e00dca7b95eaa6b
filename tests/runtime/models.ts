import { fromBinary, toBinary } from "@bufbuild/protobuf";
import type { HostTensor } from "../../src/base/dtype.js";
import { ModelBuilder } from "../../src/onnx/builder.js";
import { ModelProtoSchema, TensorProto_DataType } from "../../src/onnx/generated/onnx_pb.js";

export function floats(shape: readonly number[], values: Iterable<number>): HostTensor {
  return { dtype: "float32", shape, data: Float32Array.from(values) };
}

export const scalar = (value: number): HostTensor => floats([], [value]);

/** Builds a model for a session of the CPU. */
export function modelOf(define: (builder: ModelBuilder) => void): Uint8Array {
  const builder = new ModelBuilder({ kind: "cpu", opset: 21 });
  define(builder);
  return builder.build({ producerVersion: "0.0.0" });
}

/** y = x + 1, of `size` elements. */
export function incrementModel(size: number | string = 2): Uint8Array {
  return modelOf((builder) => {
    const x = builder.input("x", "float32", [size]);
    builder.output("y", "float32", [size], builder.node("Add", [x, builder.constant(scalar(1))]));
  });
}

/**
 * A step of momentum descent on the loss sum(w * g), with the learning rate as a feed and a state that it only reads:
 * v' = decay * v + g, w' = w - rate * v'.
 */
export function momentumModel(): Uint8Array {
  return modelOf((builder) => {
    const w = builder.input("w", "float32", [2]);
    const v = builder.input("v", "float32", [2]);
    const decay = builder.input("decay", "float32", []);
    const g = builder.input("g", "float32", [2]);
    const rate = builder.input("rate", "float32", []);
    const nextV = builder.node("Add", [builder.node("Mul", [v, decay]), g]);
    const nextW = builder.node("Sub", [w, builder.node("Mul", [nextV, rate])]);
    const loss = builder.node("ReduceSum", [builder.node("Mul", [w, g])], { keepdims: { int: 0 } });
    builder.output("v.next", "float32", [2], nextV);
    builder.output("w.next", "float32", [2], nextW);
    builder.output("loss", "float32", [], loss);
  });
}

/** A chain of products of [size, size] matrices that keeps the processor busy for a while. */
export function heavyModel(size: number, products: number): Uint8Array {
  return modelOf((builder) => {
    const x = builder.input("x", "float32", [size, size]);
    let y = x;
    for (let i = 0; i < products; i++) y = builder.node("Tanh", [builder.node("MatMul", [y, x])]);
    builder.output("y", "float32", [size, size], y);
  });
}

/** A model whose output is float64, which the builder does not write. */
export function doubleModel(): Uint8Array {
  const bytes = modelOf((builder) => {
    const x = builder.input("x", "float32", [2]);
    builder.output(
      "y",
      "float32",
      [2],
      builder.node("Cast", [x], { to: { int: TensorProto_DataType.FLOAT } }),
    );
  });
  const model = fromBinary(ModelProtoSchema, bytes);
  model.graph!.node[0]!.attribute[0]!.i = BigInt(TensorProto_DataType.DOUBLE);
  const { value } = model.graph!.output[0]!.type!;
  if (value.case === "tensorType") value.value.elemType = TensorProto_DataType.DOUBLE;
  return toBinary(ModelProtoSchema, model);
}
