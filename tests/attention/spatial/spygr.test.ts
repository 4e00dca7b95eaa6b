import { describe, expect, it } from "vitest";
import { SpatialPyramidGraphReasoning } from "../../../src/attention/spatial/spygr.js";
import { ShapeError } from "../../../src/base/errors.js";
import { trace } from "../../../src/graph/model.js";
import { sizeOf } from "../../../src/graph/size.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { relu } from "../../../src/ops/activation.js";
import { sub } from "../../../src/ops/arithmetic.js";
import { matmul } from "../../../src/ops/matmul.js";
import { reshape } from "../../../src/ops/shape.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

/** The largest number of elements of any tensor that a result is made from. */
function largestTensor(result: Tensor): number {
  const seen = new Set<Tensor>();
  const pending = [result];
  for (let tensor = pending.pop(); tensor; tensor = pending.pop()) {
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    pending.push(...tensor.inputs);
  }
  return Math.max(...[...seen].map(({ shape }) => Number(sizeOf(shape))));
}

describe("spatial pyramid graph reasoning", () => {
  it("multiplies with the Laplacian of the affinity between pixels", async () => {
    const module = randomize(new SpatialPyramidGraphReasoning({ channels: 5, nodeChannels: 3 }));
    const x = image([2, 5, 4, 6]);
    const { outputs, taps } = await run(module, x, { taps: ["levels.0.affinity"] });
    const affinity = taps["levels.0.affinity"]!;
    const dense = (inputs: { x: Tensor; affinity: Tensor }) => {
      const pixels = reshape(inputs.x, { shape: [2, 5, 24] });
      const difference = sub(pixels, matmul(pixels, inputs.affinity));
      return relu(module.levels[0]!.graphConv.forward(reshape(difference, { shape: [2, 5, 4, 6] })));
    };
    const expected = numbers((await run(dense, { x, affinity })).outputs.y!);
    expect(distance(numbers(outputs.y!), expected)).toBeLessThan(1e-5);
  });

  it("has a symmetric affinity whose normalization keeps the root of the degrees", async () => {
    const module = randomize(new SpatialPyramidGraphReasoning({ channels: 5, nodeChannels: 8 }));
    const taps = ["levels.0.affinity"];
    const result = await run(module, image([1, 5, 3, 4]), { taps });
    const s = numbers(result.taps["levels.0.affinity"]!);
    const mirrored = s.map((_, index) => s[(index % 12) * 12 + Math.floor(index / 12)]!);
    expect(distance(s, mirrored)).toBeLessThan(1e-6);
    // S is similar to a matrix whose rows sum to one: its largest eigenvalue is one.
    let vector = Array<number>(12).fill(1);
    let growth = 0;
    for (let step = 0; step < 200; step++) {
      const next = vector.map((_, row) =>
        vector.reduce((sum, value, column) => sum + s[row * 12 + column]! * value, 0),
      );
      growth = Math.hypot(...next) / Math.hypot(...vector);
      vector = next;
    }
    expect(growth).toBeCloseTo(1, 4);
  });

  it("makes nothing of the size of the affinity without its map", () => {
    const graph = trace(new SpatialPyramidGraphReasoning({ channels: 8, nodeChannels: 4, levels: 2 }), {
      shape: [1, 8, 32, 32],
    });
    expect(graph.taps.get("levels.0.affinity")!.shape).toEqual([1, 1024, 1024]);
    expect(largestTensor(graph.outputs.get("y")!)).toBe(8 * 1024);
  });

  it("refuses an image with fewer pixels than its levels need", () => {
    const module = new SpatialPyramidGraphReasoning({ channels: 2, levels: 3 });
    expect(() => trace(module, { shape: [1, 2, 3, 8] })).toThrow(ShapeError);
    expect(trace(module, { shape: [1, 2, 4, 4] }).outputs.get("y")!.shape).toEqual([1, 2, 4, 4]);
  });
});
