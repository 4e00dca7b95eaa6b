import { describe, expect, it } from "vitest";
import { mapTensors } from "../../src/attention/maps.js";
import { trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { Module } from "../../src/nn/module.js";
import { mul } from "../../src/ops/arithmetic.js";
import { run } from "../../src/runtime/run.js";

class Cell extends Module {
  forward(x: Tensor): Tensor {
    return this.tap("alpha", mul(x, 2));
  }
}

class Recurrent extends Module {
  readonly cell = new Cell();
  forward(x: Tensor): Tensor {
    let y = x;
    for (let step = 0; step < 3; step++) y = this.cell.forward(y);
    return y;
  }
}

const maps = {
  alphas: { kind: "temporal", shape: ["batch", 3, 2], tap: "cell.alpha", stack: 1 },
  first: { kind: "temporal", shape: ["batch", 2], tap: "cell.alpha" },
  absent: { kind: "spatial", shape: ["batch"] },
} as const;

describe("mapTensors", () => {
  it("finds taps, stacks those of several calls, and leaves out what is absent", async () => {
    const model = new Recurrent();
    const graph = trace(model, { shape: [batch, 2] });
    const found = mapTensors(maps, graph.taps);
    expect([...found.keys()]).toEqual(["alphas", "first"]);
    expect(found.get("alphas")!.shape).toEqual([batch, 3, 2]);
    const x = { dtype: "float32", shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } as const;
    const stacked = (inputs: { x: Tensor }) => {
      let y = inputs.x;
      const taps = new Map<string, Tensor>();
      for (const name of ["cell.alpha", "cell.alpha#2", "cell.alpha#3"]) {
        y = mul(y, 2);
        taps.set(name, y);
      }
      return mapTensors(maps, taps).get("alphas")!;
    };
    const { outputs } = await run(stacked, { x });
    expect(outputs.y).toEqual({
      dtype: "float32",
      shape: [2, 3, 2],
      data: Float32Array.of(2, 4, 4, 8, 8, 16, 6, 8, 12, 16, 24, 32),
    });
  });

  it("finds those of a module inside of a network", () => {
    const graph = trace(new Recurrent(), { shape: [1, 2] });
    const inner = { alpha: { kind: "temporal", shape: [1, 2] } } as const;
    expect([...mapTensors(inner, graph.taps, "cell").keys()]).toEqual(["alpha"]);
    expect(mapTensors(inner, graph.taps).size).toBe(0);
  });
});
