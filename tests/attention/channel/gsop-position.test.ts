import { describe, expect, it } from "vitest";
import { GSoPPosition } from "../../../src/attention/channel/gsop-position.js";
import { positionStatistics } from "../../../src/attention/second-order.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, tapOf } from "../images.js";

async function statistics(p: HostTensor): Promise<number[]> {
  const { outputs } = await run((x: Tensor) => positionStatistics(x), p);
  return numbers(outputs.y!);
}

/** G[a, b] as the reference writes it, in float64. */
function reference(p: HostTensor): number[] {
  const [d, m] = [p.shape[1]!, p.shape[2]!];
  const values = numbers(p);
  const sumOver = (term: (c: number) => number) =>
    Array.from({ length: d }, (_, c) => term(c)).reduce((sum, value) => sum + value, 0);
  const at = (c: number, position: number) => values[c * m + position]!;
  return Array.from({ length: m * m }, (_, index) => {
    const [a, b] = [Math.floor(index / m), index % m];
    const means = (sumOver((c) => at(c, a)) * sumOver((c) => at(c, b))) / m ** 2;
    return sumOver((c) => at(c, a) * at(c, b)) / m - means;
  });
}

const shift = (p: HostTensor) => mapValues(p, (value) => value + 3);

describe("position-wise second-order pooling", () => {
  it.each([
    [3, 6],
    [6, 6],
    [9, 4],
  ])("measures positions over %i channels with the reference's constants for %i positions", async (d, m) => {
    const p = image([1, d, m]);
    expect(distance(await statistics(p), reference(p))).toBeLessThan(1e-5);
  });

  it("is a covariance only where channels and positions are as many", async () => {
    const equal = image([1, 6, 6]);
    expect(distance(await statistics(equal), await statistics(shift(equal)))).toBeLessThan(1e-5);
    const fewer = image([1, 3, 6]);
    expect(distance(await statistics(fewer), await statistics(shift(fewer)))).toBeGreaterThan(0.1);
  });

  it("gates all channels alike and rectifies", async () => {
    const module = randomize(new GSoPPosition({ channels: 3, reducedChannels: 4, poolSize: [2, 2] }));
    const x = image([1, 3, 4, 6]);
    const { outputs, taps } = await run(module, x, { taps: ["attention"] });
    expect(taps.attention!.shape).toEqual([1, 1, 4, 6]);
    const gate = numbers(taps.attention!);
    const expected = numbers(x).map((value, index) => Math.max(0, value * gate[index % 24]!));
    expect(distance(numbers(outputs.y!), expected)).toBeLessThan(1e-6);
  });

  it("is constant on the cells of a grid that divides the image, and blends otherwise", async () => {
    const module = randomize(new GSoPPosition({ channels: 3, reducedChannels: 4, poolSize: [2, 3] }));
    const cells = async (height: number, width: number) => {
      const gate = await tapOf(module, image([1, 3, height, width]));
      return new Set(gate.map((value) => value.toFixed(6))).size;
    };
    expect(await cells(4, 6)).toBe(6);
    expect(await cells(5, 6)).toBe(9);
  });
});
