import { describe, expect, it } from "vitest";
import { DoubleAttention } from "../../../src/attention/spatial/a2.js";
import { trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

const x = image([2, 8, 4, 5]);

describe("double attention block", () => {
  it("gives one result in both orders", async () => {
    const options = { channels: 8, featureChannels: 3, descriptors: 5 };
    const gather = randomize(new DoubleAttention(options));
    const attention = new DoubleAttention({ ...options, order: "attention-first" });
    loadStateDict(attention, stateDict(gather));
    const [a, b] = [await run(gather, x), await run(attention, x)];
    expect(distance(numbers(a.outputs.y!), numbers(b.outputs.y!))).toBeLessThan(1e-5);
  });

  it("gives every pixel the same with one descriptor", async () => {
    const module = randomize(
      new DoubleAttention({ channels: 8, featureChannels: 2, descriptors: 1, residual: false }),
    );
    const y = numbers((await run(module, x)).outputs.y!);
    expect(
      distance(
        y,
        y.map((_, index) => y[index - (index % 20)]!),
      ),
    ).toBeLessThan(1e-6);
  });

  it("adds the reconstruction to its input", async () => {
    const options = { channels: 8, descriptors: 3 };
    const plain = randomize(new DoubleAttention({ ...options, residual: false }));
    const residual = new DoubleAttention(options);
    loadStateDict(residual, stateDict(plain));
    const z = numbers((await run(plain, x)).outputs.y!);
    const expected = numbers(x).map((value, index) => value + z[index]!);
    expect(distance(numbers((await run(residual, x)).outputs.y!), expected)).toBeLessThan(1e-6);
  });

  it("gathers first at less cost where pixels squared outnumber features times descriptors", () => {
    const sizes = { batch: 1, height: 32 * 28, width: 28 };
    const cost = (order: "gather-first" | "attention-first") => {
      const { options } = new DoubleAttention({
        channels: 1024,
        featureChannels: 512,
        descriptors: 512,
        order,
      });
      return DoubleAttention.about.macs(options, sizes);
    };
    expect(cost("attention-first") - cost("gather-first")).toBe(25088 * 1024 * (25088 - 512));
  });

  it("never makes a matrix of all pairs when it gathers first", () => {
    const module = new DoubleAttention({ channels: 8, featureChannels: 3, descriptors: 5 });
    const { outputs } = trace(module, { shape: [1, 8, 4, 5] });
    const shapes: string[] = [];
    const visit = (tensor: Tensor) => {
      shapes.push(tensor.shape.join());
      tensor.inputs.forEach(visit);
    };
    visit(outputs.get("y")!);
    expect(shapes).toContain("1,3,5");
    expect(shapes).not.toContain("1,20,20");
  });
});
