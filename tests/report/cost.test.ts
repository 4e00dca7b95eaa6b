import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { constant } from "../../src/graph/constant.js";
import { trace } from "../../src/graph/model.js";
import { defineOp } from "../../src/graph/operator.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Conv2d } from "../../src/nn/conv.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { emitModel } from "../../src/onnx/emit.js";
import { relu } from "../../src/ops/activation.js";
import { add, mul } from "../../src/ops/arithmetic.js";
import { matmul } from "../../src/ops/matmul.js";
import { mean } from "../../src/ops/reduce.js";
import { graphCost } from "../../src/report/cost.js";

class Head extends Module {
  readonly fc = new Linear({ inFeatures: 4, outFeatures: 3 });
  forward(x: Tensor): Tensor {
    return relu(this.fc.forward(x));
  }
}

class Net extends Module {
  readonly conv = new Conv2d({ inChannels: 2, outChannels: 4, kernel: 3, padding: 1 });
  readonly head = new Head();
  forward(x: Tensor): Tensor {
    return this.head.forward(mean(this.conv.forward(x), { axes: [2, 3], keepDims: false }));
  }
}

describe("graphCost", () => {
  it("counts products and convolutions by operator and by module", () => {
    const graph = trace(new Net(), { shape: [5, 2, 6, 7] });
    const cost = graphCost(graph.outputs.values());
    const conv = 5 * 4 * 6 * 7 * (2 * 9);
    const linear = 5 * 4 * 3;
    expect(cost.macs).toBe(conv + linear);
    expect(cost.byModule.get("")?.macs).toBe(conv + linear);
    expect(cost.byModule.get("conv")?.macs).toBe(conv);
    expect(cost.byModule.get("head")?.macs).toBe(linear);
    expect(cost.byModule.get("head.fc")?.macs).toBe(linear);
    const operators = [...cost.byOperator.values()];
    expect(operators.reduce((total, { macs }) => total + macs, 0)).toBe(cost.macs);
    expect(operators.reduce((total, { calls }) => total + calls, 0)).toBe(cost.calls);
    expect(cost.byOperator.get("relu")).toEqual({ calls: 1, macs: 0 });
  });

  it("counts equal calls once, on equal constants too", () => {
    const twice = ({ x }: { x: Tensor }) => {
      const weight = () => constant([1, 2, 3, 4], { shape: [2, 2] });
      return add(matmul(x, weight()), matmul(x, weight()));
    };
    const types = { x: { shape: [3, 2] } };
    expect(graphCost(trace(twice, types).outputs.values()).macs).toBe(3 * 2 * 2);
    const other = ({ x }: { x: Tensor }) => {
      const weight = (last: number) => constant([1, 2, 3, last], { shape: [2, 2] });
      return add(matmul(x, weight(4)), matmul(x, weight(5)));
    };
    expect(graphCost(trace(other, types).outputs.values()).macs).toBe(2 * 3 * 2 * 2);
  });

  it("counts composites as what they expand to, as the emitted model has nodes", () => {
    const square = defineOp<[Tensor]>("costTestSquare", {
      type: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
      expand: ([x]) => matmul(x, x),
      macs: 0,
      samples: [],
    });
    const graph = trace(({ x }: { x: Tensor }) => mul(square(x), relu(square(x))), { x: { shape: [3, 3] } });
    const cost = graphCost(graph.outputs.values());
    expect(cost.macs).toBe(27);
    expect([...cost.byOperator.keys()].sort()).toEqual(["matmul", "mul", "relu"]);
    const model = emitModel({
      target: { kind: "portable", opset: 20 },
      inputs: graph.inputs,
      variables: new Map(),
      variablesAs: "inputs",
      outputs: graph.outputs,
      producerVersion: "0.0.0",
    });
    expect(model.nodeCount).toBe(cost.calls);
  });

  it("refuses an operator without a cost rule, and a symbolic batch", () => {
    const costless = defineOp<[Tensor]>("costTestFree", {
      type: ([x]) => ({ shape: x.shape, dtype: x.dtype }),
      macs: undefined as unknown as 0,
      samples: [],
    });
    const graph = trace(({ x }: { x: Tensor }) => costless(x), { x: { shape: [2] } });
    expect(() => graphCost(graph.outputs.values())).toThrow(/costTestFree has no cost rule/);
    const open = trace(new Net(), { shape: [batch, 2, 6, 7] });
    expect(() => graphCost(open.outputs.values())).toThrow(ShapeError);
  });
});
