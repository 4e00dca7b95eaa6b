import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { FormatError, OptionError } from "../../src/base/errors.js";
import { ModelBuilder } from "../../src/onnx/builder.js";
import { decodeModel } from "../../src/onnx/decoder.js";

const portable = { kind: "portable", opset: 21 } as const;
const cpu = { kind: "cpu", opset: 21 } as const;
const floats = (shape: number[], values: number[]): HostTensor => ({
  dtype: "float32",
  shape,
  data: Float32Array.from(values),
});

describe("ModelBuilder", () => {
  it("comes back from the decoder as it was built", () => {
    const builder = new ModelBuilder(cpu);
    const x = builder.input("x", "float32", ["batch", 3, 8, 8]);
    const flags = builder.input("flags", "bool", []);
    const weight = builder.initializer("conv.weight", floats([1, 3, 1, 1], [0.5, -0, Number.NaN]));
    builder.scope = "layer1.0";
    const conv = builder.node("Conv", [x, weight], { kernel_shape: { ints: [1, 1] }, group: { int: 1 } });
    const [top, indices] = builder.nodes(
      "TopK",
      [conv, builder.constant({ dtype: "int64", shape: [1], data: BigInt64Array.of(-5n) })],
      2,
      {
        axis: { int: -1 },
      },
    );
    const gelu = builder.node(
      "FusedGelu",
      [top!, ""],
      { alpha: { float: 0.25 }, weights: { floats: [1, 2.5] }, mode: { string: "täh" } },
      "com.microsoft",
    );
    builder.scope = "";
    const not = builder.node("Not", [flags]);
    builder.output("y", "float32", ["batch", 1, 8, 5], gelu);
    builder.output("indices", "int64", ["batch", 1, 8, 5], indices!);
    builder.output("not", "bool", [], not);
    const model = decodeModel(builder.build({ producerVersion: "1.2.3", metadata: { model: "test" } }));

    expect(model.irVersion).toBe(10);
    expect([model.producerName, model.producerVersion]).toEqual(["fovea", "1.2.3"]);
    expect([...model.opsets]).toEqual([
      ["", 21],
      ["com.microsoft", 1],
    ]);
    expect([...model.metadata]).toEqual([["model", "test"]]);
    expect(model.inputs).toEqual([
      { name: "x", dtype: "float32", shape: ["batch", 3, 8, 8] },
      { name: "flags", dtype: "bool", shape: [] },
    ]);
    expect(model.outputs.map(({ name, dtype }) => [name, dtype])).toEqual([
      ["y", "float32"],
      ["indices", "int64"],
      ["not", "bool"],
    ]);
    expect(model.nodes).toEqual([
      {
        name: "layer1.0/Conv_0",
        opType: "Conv",
        domain: "",
        inputs: ["x", "conv.weight"],
        outputs: ["layer1.0/Conv_0"],
        attributes: { kernel_shape: { ints: [1, 1] }, group: { int: 1 } },
      },
      {
        name: "layer1.0/TopK_0",
        opType: "TopK",
        domain: "",
        inputs: ["layer1.0/Conv_0", "const_0"],
        outputs: ["layer1.0/TopK_0:0", "indices"],
        attributes: { axis: { int: -1 } },
      },
      {
        name: "layer1.0/FusedGelu_0",
        opType: "FusedGelu",
        domain: "com.microsoft",
        inputs: ["layer1.0/TopK_0:0", ""],
        outputs: ["y"],
        attributes: { alpha: { float: 0.25 }, weights: { floats: [1, 2.5] }, mode: { string: "täh" } },
      },
      { name: "Not_0", opType: "Not", domain: "", inputs: ["flags"], outputs: ["not"], attributes: {} },
    ]);
    expect(model.initializers.get("conv.weight")).toEqual(floats([1, 3, 1, 1], [0.5, -0, Number.NaN]));
    expect(model.initializers.get("const_0")).toEqual({
      dtype: "int64",
      shape: [1],
      data: BigInt64Array.of(-5n),
    });
  });

  it("shares equal constants and keeps different ones apart", () => {
    const builder = new ModelBuilder(cpu);
    const long = new Float32Array(1000);
    const other = long.slice();
    other[999] = 1;
    const one = builder.constant(floats([1], [1]));
    expect(builder.constant(floats([1], [1]))).toBe(one);
    const names = [
      one,
      builder.constant(floats([], [1])),
      builder.constant({ dtype: "bool", shape: [4], data: Uint8Array.of(0, 0, 128, 63) }),
      builder.constant(floats([1], [0])),
      builder.constant(floats([1], [-0])),
      builder.constant({ dtype: "float32", shape: [1000], data: long }),
      builder.constant({ dtype: "float32", shape: [1000], data: other }),
    ];
    expect(new Set(names).size).toBe(names.length);
    // A view into a larger array counts by its own values.
    expect(
      builder.constant({ dtype: "float32", shape: [1], data: Float32Array.of(7, 1, 7).subarray(1, 2) }),
    ).toBe(one);
  });

  it("renames the producer of an output, and adds Identity only for what cannot be renamed", () => {
    const builder = new ModelBuilder(portable);
    const x = builder.input("x", "float32", [2]);
    const neg = builder.node("Neg", [x]);
    builder.output("first", "float32", [2], neg);
    builder.output("second", "float32", [2], neg);
    builder.output("input", "float32", [2], x);
    // The value's own name goes on working after it has become an output.
    const abs = builder.node("Abs", [neg]);
    // A public name that equals the name of an inner value takes it over.
    builder.output("Neg_1", "float32", [2], abs);
    builder.output("third", "float32", [2], builder.node("Sqrt", [builder.node("Neg", [abs])]));
    const model = decodeModel(builder.build({ producerVersion: "0" }));
    expect(model.nodes.map(({ opType, inputs, outputs }) => [opType, inputs.join(), outputs.join()])).toEqual(
      [
        ["Neg", "x", "first"],
        ["Abs", "first", "Neg_1"],
        ["Neg", "Neg_1", "Neg_2"],
        ["Sqrt", "Neg_2", "third"],
        ["Identity", "first", "second"],
        ["Identity", "x", "input"],
      ],
    );
  });

  it("leaves out nodes that no output needs, and constants that only they read", () => {
    const builder = new ModelBuilder(portable);
    const scalar = (value: number) =>
      builder.constant({ dtype: "float32", shape: [], data: Float32Array.of(value) });
    const x = builder.input("x", "float32", [2]);
    const [two, three] = [scalar(2), scalar(3)];
    builder.node("Mul", [x, three]);
    builder.output("y", "float32", [2], builder.node("Mul", [x, two]));
    builder.output("z", "float32", [], scalar(4));
    builder.prune();
    // One that was left out can be asked for again.
    builder.output("again", "float32", [2], builder.node("Add", [x, scalar(3)]));
    const model = decodeModel(builder.build({ producerVersion: "0" }));
    expect(model.nodes.map(({ opType }) => opType)).toEqual(["Mul", "Add", "Identity"]);
    expect([...model.initializers.values()].map(({ data }) => data[0]).sort()).toEqual([2, 3, 4]);
    expect(model.initializers.has(three)).toBe(false);
  });

  it("moves an inner value whose name an output takes", () => {
    const builder = new ModelBuilder(portable);
    const x = builder.input("x", "float32", [2]);
    const inner = builder.node("Neg", [x]);
    const outer = builder.node("Abs", [inner]);
    builder.output(inner, "float32", [2], outer);
    const model = decodeModel(builder.build({ producerVersion: "0" }));
    expect(model.nodes.map(({ outputs }) => outputs.join())).toEqual(["Neg_0_", "Neg_0"]);
  });

  it("gives the same bytes for the same calls, and build can be repeated", () => {
    const build = () => {
      const builder = new ModelBuilder(portable);
      builder.output(
        "y",
        "float32",
        [2],
        builder.node("Add", [builder.input("x", "float32", [2]), builder.constant(floats([], [1]))]),
      );
      const options = { producerVersion: "0" };
      expect(builder.build(options)).toEqual(builder.build(options));
      return builder.build(options);
    };
    expect(build()).toEqual(build());
  });

  it("maps each operator set to its IR version", () => {
    const ir = (opset: number) => {
      const builder = new ModelBuilder({ kind: "portable", opset });
      builder.output("y", "float32", [1], builder.input("x", "float32", [1]));
      const model = decodeModel(builder.build({ producerVersion: "0" }));
      expect(model.opsets.get("")).toBe(opset);
      return model.irVersion;
    };
    expect([18, 19, 20, 21].map(ir)).toEqual([8, 9, 9, 10]);
    expect(() => new ModelBuilder({ kind: "cpu", opset: 99 })).toThrow(OptionError);
  });

  it("refuses wrong use", () => {
    const builder = new ModelBuilder(portable);
    const x = builder.input("x", "float32", [2]);
    expect(() => builder.input("x", "float32", [2])).toThrow(/'x'.*taken/);
    expect(() => builder.input("", "float32", [2])).toThrow(FormatError);
    expect(() => builder.input("z", "float32", [-1])).toThrow(/input 'z'/);
    expect(() => builder.node("Neg", ["nothing"])).toThrow(/Neg_\d uses value 'nothing'/);
    expect(() => builder.output("y", "float32", [2], "nothing")).toThrow(/'nothing'/);
    expect(() => builder.output("x", "float32", [2], x)).toThrow(/'x'.*taken/);
    expect(() => builder.constant(floats([2], [1]))).toThrow(/8 bytes, found 4/);
    expect(() => builder.node("ReorderInput", [x], {}, "com.microsoft.nchwc")).toThrow(/portable/);
    expect(() => new ModelBuilder(cpu).node("Neg", [], {}, "org.example")).toThrow(/unknown operator domain/);
    builder.node("Neg", [x], { axis: { int: 0.5 } });
    expect(() => builder.build({ producerVersion: "0" })).toThrow(/attribute axis is 0.5/);
  });
});
