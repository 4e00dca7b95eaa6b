import { describe, expect, it } from "vitest";
import { FoveaError, ShapeError } from "../../src/base/errors.js";
import {
  initialize,
  modelParts,
  namedParameters,
  namedVariables,
  parameterCount,
  trace,
} from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Conv, Conv2d } from "../../src/nn/conv.js";
import { Linear } from "../../src/nn/linear.js";
import { Module } from "../../src/nn/module.js";
import { Sequential } from "../../src/nn/sequential.js";
import { buffer, constantValue, normal, parameter, read, uniform, update } from "../../src/nn/variables.js";
import { add, mul, relu } from "../../src/ops/index.js";

class Gate extends Module {
  readonly scale = parameter([2], constantValue(1));
  forward(x: Tensor): Tensor {
    return this.tap("gate", mul(x, this.scale));
  }
}

class Block extends Module {
  readonly gates = [new Gate(), new Gate()];
  readonly shared = this.gates[0]!;
  readonly steps = new Sequential(new Gate(), this.gates[1]!);
  readonly seen = buffer([2], constantValue(0));
  readonly #hidden = new Gate();
  forward(x: Tensor): Tensor {
    const y = this.gates.reduce((value, gate) => gate.forward(value), x);
    return this.#hidden.forward(this.steps.forward(this.shared.forward(y)));
  }
}

describe("paths", () => {
  it("are property names, array indices and the numbers of a Sequential; a shared part has one", () => {
    const block = new Block();
    expect([...modelParts(block).values()]).toEqual(["", "gates.0", "gates.1", "steps", "steps.0"]);
    expect([...namedVariables(block).keys()]).toEqual([
      "seen",
      "gates.0.scale",
      "gates.1.scale",
      "steps.0.scale",
    ]);
    expect([...namedParameters(block).keys()]).not.toContain("seen");
    expect(parameterCount(block)).toBe(6);
  });

  it("name a shared variable once, and end for parts that refer to each other", () => {
    class Node extends Module {
      weight = parameter([1], constantValue(0));
      other?: Node;
      forward(x: Tensor): Tensor {
        return x;
      }
    }
    const [a, b] = [new Node(), new Node()];
    a.other = b;
    b.other = a;
    b.weight = a.weight;
    expect([...modelParts(a).values()]).toEqual(["", "other"]);
    expect([...namedVariables(a).keys()]).toEqual(["weight"]);
  });

  it("name the nodes and taps of each call; further calls get a number", () => {
    const block = new Block();
    const graph = trace(block, { shape: [2] });
    expect([...graph.taps.keys()]).toEqual([
      "gates.0.gate",
      "gates.1.gate",
      "gates.0.gate#2",
      "steps.0.gate",
      "gates.1.gate#2",
      // A part in a private field has no path of its own.
      "Gate.gate",
    ]);
    expect(graph.taps.get("gates.0.gate")!.scope).toBe("gates.0");
    expect(graph.outputs.get("y")).toBe(graph.taps.get("Gate.gate"));
  });

  it("count on for every further call", () => {
    const gate = new Gate();
    const body = (x: Tensor) => gate.forward(gate.forward(gate.forward(gate.forward(x))));
    const { taps } = trace(body, { shape: [2] }, { model: new Sequential(gate) });
    expect([...taps.keys()]).toEqual(["0.gate", "0.gate#2", "0.gate#3", "0.gate#4"]);
  });

  it("hold for inherited and overridden entry points, and for further ones", () => {
    class Base extends Module {
      static override readonly calls: readonly string[] = ["forward", "step"];
      forward(x: Tensor): Tensor {
        return relu(x);
      }
      step(x: Tensor): Tensor {
        return this.tap("t", relu(x));
      }
      helper(x: Tensor): Tensor {
        return this.tap("h", relu(x));
      }
    }
    class Derived extends Base {
      override forward(x: Tensor): Tensor {
        return super.forward(x);
      }
    }
    class Outer extends Module {
      readonly part = new Derived();
      forward(x: Tensor): Record<string, Tensor> {
        const { part } = this;
        return { forward: part.forward(x), step: part.step(x), helper: part.helper(x) };
      }
    }
    const { outputs, taps } = trace(new Outer(), { shape: [2] });
    expect([...outputs].map(([name, { scope }]) => [name, scope])).toEqual([
      ["forward", "part"],
      ["step", "part"],
      ["helper", ""],
    ]);
    expect([...taps.keys()]).toEqual(["part.t", "part.h"]);
  });
});

describe("a trace", () => {
  it("tells modules the mode, and keeps it from what is traced within", () => {
    const modes: boolean[] = [];
    class Mode extends Module {
      forward(x: Tensor): Tensor {
        modes.push(this.training);
        return x;
      }
    }
    const inner = new Mode();
    class Outer extends Module {
      readonly mode = new Mode();
      forward(x: Tensor): Tensor {
        trace(inner, { shape: [1] });
        return this.mode.forward(x);
      }
    }
    const outer = new Outer();
    trace(outer, { shape: [1] }, { training: true });
    trace(outer, { shape: [1] });
    outer.forward(trace(inner, { shape: [1] }).inputs.get("x")!);
    expect(modes).toEqual([false, true, false, false, false, false, false]);
  });

  it("ends where the model throws", () => {
    class Broken extends Module {
      forward(_x: Tensor): Tensor {
        throw new Error("broken");
      }
    }
    expect(() => trace(new Broken(), { shape: [1] })).toThrow("broken");
    expect(() => read(buffer([1], constantValue(0)))).toThrow(
      new FoveaError("read is only possible while a model is traced (run, compile, fit)"),
    );
  });

  it("refuses results that are no tensors, and calls that do not exist", () => {
    const refused = (result: unknown) => () => trace((() => result) as () => Tensor, { shape: [1] });
    expect(refused(3)).toThrow("forward must return a tensor or a record of tensors, found number");
    expect(refused(null)).toThrow(FoveaError);
    expect(refused(undefined)).toThrow("found undefined");
    expect(refused({ y: 3 })).toThrow("found number");
    expect(() => trace(new Gate(), { shape: [2] }, { call: "loss" })).toThrow("model has no method loss");
  });

  it("keeps the last of several updates, and refuses another shape", () => {
    const seen = buffer([2], constantValue(0));
    const { updates, outputs } = trace(
      (x: Tensor) => {
        update(seen, x);
        const first = read(seen);
        update(seen, add(read(seen), 1));
        return { first, second: read(seen) };
      },
      { shape: [2] },
    );
    expect(updates.get(seen)).toBe(outputs.get("second"));
    expect(outputs.get("first")).not.toBe(outputs.get("second"));
    const body = (x: Tensor) => {
      update(seen, x);
      return x;
    };
    expect(() => trace(body, { shape: [3] })).toThrow(
      new ShapeError("update: variable is float32 [2], value float32 [3]"),
    );
    class Keeper extends Module {
      readonly seen = seen;
      forward(x: Tensor): Tensor {
        update(this.seen, x);
        return x;
      }
    }
    expect(() => trace(new Sequential(new Keeper()), { shape: [3] })).toThrow(
      /value float32 \[3\] \(in 0\)$/,
    );
  });
});

describe("initial values", () => {
  it("depend on the seed and the path alone", () => {
    const values = (seed: number, net = new Sequential(new Linear({ inFeatures: 8, outFeatures: 4 }))) => {
      initialize(net, { seed });
      return [...namedVariables(net)].map(([path, { value }]) => [path, [...value]]);
    };
    expect(values(1)).toEqual(values(1));
    expect(values(1)).not.toEqual(values(2));
    const before = new Sequential(
      new Linear({ inFeatures: 8, outFeatures: 4 }),
      new Linear({ inFeatures: 8, outFeatures: 4 }),
    );
    const all = values(1, before);
    expect(all.slice(0, 2)).toEqual(values(1));
    expect(all[0]![1]).not.toEqual(all[2]![1]);
  });

  it("are uniform within 1 / sqrt(fanIn) for weight and bias", () => {
    const layers: [
      Module & { weight: { value: Iterable<unknown> }; bias?: { value: Iterable<unknown> } },
      number,
    ][] = [
      [new Linear({ inFeatures: 64, outFeatures: 128 }), 64],
      [new Conv2d({ inChannels: 8, outChannels: 64, kernel: 3, groups: 2 }), 36],
      [new Conv({ inChannels: 16, outChannels: 64, kernel: [3] }), 48],
    ];
    for (const [layer, fanIn] of layers) {
      initialize(layer, { seed: 5 });
      const bound = 1 / Math.sqrt(fanIn);
      const weight = [...layer.weight.value] as number[];
      const bias = [...layer.bias!.value] as number[];
      expect(Math.max(...weight.map(Math.abs), ...bias.map(Math.abs))).toBeLessThanOrEqual(bound);
      // Moments of a uniform distribution within five standard errors.
      const mean = weight.reduce((sum, value) => sum + value, 0) / weight.length;
      const square = weight.reduce((sum, value) => sum + value * value, 0) / weight.length;
      expect(Math.abs(mean)).toBeLessThan((5 * bound) / Math.sqrt(3 * weight.length));
      expect(Math.abs(square - bound ** 2 / 3)).toBeLessThan(
        (5 * bound ** 2 * 0.3) / Math.sqrt(weight.length),
      );
      expect(Math.max(...weight)).toBeGreaterThan(0.98 * bound);
      expect(Math.max(...bias.map(Math.abs))).toBeGreaterThan(0.8 * bound);
    }
  });

  it("are given once and never over values that are there", () => {
    const gate = new Gate();
    expect(gate.scale.initialized).toBe(false);
    expect(() => gate.scale.value).toThrow("variable has no value yet");
    gate.scale.value = Float32Array.of(7, 8);
    initialize(gate);
    expect(gate.scale.value).toEqual(Float32Array.of(7, 8));
    expect(() => {
      gate.scale.value = Float32Array.of(1);
    }).toThrow(new ShapeError("variable of shape [2] cannot hold 1 values"));
  });

  it("can be constant or normal, and no shape of a variable is empty", () => {
    const weight = parameter([5000], normal(0.5));
    weight.initialize({ seed: 1, path: "w" });
    const values = [...weight.value] as number[];
    const deviation = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    expect(deviation).toBeGreaterThan(0.47);
    expect(deviation).toBeLessThan(0.53);
    expect(() => parameter([0, 3], uniform(1))).toThrow("sizes must be integers >= 1, found [0, 3]");
    expect(() => new Conv2d({ inChannels: 3, outChannels: 4, kernel: 3, groups: 2 })).toThrow(
      "sizes must be integers >= 1, found [4, 1.5, 3, 3]",
    );
    expect(() => new BatchNorm({ channels: -1 })).toThrow(ShapeError);
    expect(() => new Linear({ inFeatures: Number.NaN, outFeatures: 1 })).toThrow(ShapeError);
  });
});
