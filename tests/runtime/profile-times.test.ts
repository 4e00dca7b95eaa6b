import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { nodeTimes } from "../../src/runtime/profile-times.js";

type Shape = readonly number[];

const event = (name: string, operator: string, dur: number, inputs: Shape[], outputs: Shape[]) => ({
  cat: "Node",
  name: `${name}_kernel_time`,
  dur,
  args: {
    op_name: operator,
    provider: "CPUExecutionProvider",
    input_type_shape: inputs.map((float) => ({ float })),
    output_type_shape: outputs.map((float) => ({ float })),
  },
});

const times = (events: readonly object[], warmUps = 0) => nodeTimes(JSON.stringify(events), { warmUps });
const operations = (operator: string, inputs: Shape[], output: Shape) =>
  times([event("a", operator, 1, inputs, [output])])[0]!.operations;

describe("the times of a profile", () => {
  it("are medians after the runs that do not count", () => {
    const durations = [900, 800, 3000, 1000, 2000];
    const found = times(
      [
        { cat: "Session", name: "model_run", dur: 7 },
        ...durations.map((dur) => event("m.n/Add_0", "Add", dur, [[2, 3]], [[2, 3]])),
      ],
      2,
    );
    expect(found).toEqual([
      { name: "m.n/Add_0", module: "m.n", operator: "Add", milliseconds: 2, operations: 0, bytes: 48 },
    ]);
  });

  it("leave out what the nodes inside of a node took", () => {
    const at = (ts: number, name: string, dur: number) => ({ ...event(name, "Add", dur, [], []), ts });
    const found = times([
      at(10, "first", 30),
      at(60, "in/0", 10),
      at(72, "in/in", 4),
      at(70, "in/1", 20),
      at(50, "outer", 50),
      at(100, "last", 5),
    ]);
    expect(found.map(({ name, milliseconds }) => [name, milliseconds * 1000])).toEqual([
      ["first", 30],
      ["in/0", 10],
      ["in/in", 4],
      ["in/1", 16],
      ["outer", 20],
      ["last", 5],
    ]);
  });

  it("tell the module, through the names that ONNX Runtime's fusions give", () => {
    const moduleOf = (name: string) => times([event(name, "Add", 1, [], [])])[0]!.module;
    expect(moduleOf("Add_12")).toBe("");
    expect(moduleOf("layer1.0.conv/Conv_0")).toBe("layer1.0.conv");
    expect(moduleOf("fused layer1.0.conv/Conv_0")).toBe("layer1.0.conv");
    expect(moduleOf("fc/MatMul_0/MatmulTransposeFusion/")).toBe("fc");
  });

  it("count operations of products and convolutions, whichever operand is transposed", () => {
    // [3 x 5][5 x 7]
    for (const [a, b] of [
      [
        [3, 5],
        [5, 7],
      ],
      [
        [5, 3],
        [5, 7],
      ],
      [
        [5, 3],
        [7, 5],
      ],
    ] as const) {
      expect(operations("FusedMatMul", [a, b], [3, 7])).toBeCloseTo(2 * 3 * 5 * 7);
    }
    expect(
      operations(
        "MatMul",
        [
          [2, 4, 3, 5],
          [5, 7],
        ],
        [2, 4, 3, 7],
      ),
    ).toBeCloseTo(2 * 8 * 3 * 5 * 7);
    expect(operations("Gemm", [[3, 5], [5, 7], [7]], [3, 7])).toBeCloseTo(2 * 3 * 5 * 7);
    // Four channels in two groups, six filters of [2, 3, 3].
    expect(
      operations(
        "FusedConv",
        [
          [1, 4, 8, 8],
          [6, 2, 3, 3],
        ],
        [1, 6, 6, 6],
      ),
    ).toBe(2 * 6 * 36 * 2 * 9);
    expect(
      operations(
        "ConvTranspose",
        [
          [1, 6, 6, 6],
          [6, 2, 3, 3],
        ],
        [1, 4, 8, 8],
      ),
    ).toBe(2 * 6 * 36 * 2 * 9);
    expect(operations("Relu", [[2]], [2])).toBe(0);
  });

  it("count bytes by type, and none where nothing moves", () => {
    const [reshape, cast] = times([
      event("a", "Reshape", 1, [[2, 3]], [[6]]),
      {
        ...event("b", "Cast", 1, [], [[4]]),
        args: {
          op_name: "Cast",
          provider: "x",
          input_type_shape: [{ bool: [4] }, { int64: [2] }],
          output_type_shape: [{ float: [4] }],
        },
      },
    ]);
    expect(reshape!.bytes).toBe(0);
    expect(cast!.bytes).toBe(4 + 16 + 16);
  });

  it("need a profile", () => {
    for (const text of ["", "{}", "3"]) expect(() => nodeTimes(text, { warmUps: 0 })).toThrow(FormatError);
    expect(nodeTimes("[null, 1, {}]", { warmUps: 0 })).toEqual([]);
  });
});
