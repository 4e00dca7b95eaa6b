import { describe, expect, it } from "vitest";
import { ExpectationMaximizationAttention } from "../../../src/attention/spatial/ema.js";
import { initialize } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { gradients } from "../../../src/ops/gradients.js";
import { sum } from "../../../src/ops/reduce.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize } from "../images.js";

type EmaOptions = ConstructorParameters<typeof ExpectationMaximizationAttention>[0];

const channels = 6;
const x = image([2, channels, 4, 5]);

function unit(options: Partial<EmaOptions> = {}): ExpectationMaximizationAttention {
  return randomize(new ExpectationMaximizationAttention({ channels, numBases: 3, ...options }));
}

/** The bases after a step of training, of units that differ in options alone. */
async function movedBases(options: Partial<EmaOptions>): Promise<number[]> {
  const module = new ExpectationMaximizationAttention({ channels, numBases: 3, ...options });
  loadStateDict(module, stateDict(unit()));
  return numbers((await run(module, x, { training: true })).updates.bases!);
}

function columnLengths(bases: readonly number[], columns: number): number[] {
  return Array.from({ length: columns }, (_, column) =>
    Math.hypot(...bases.filter((_value, index) => index % columns === column)),
  );
}

describe("expectation-maximization attention unit", () => {
  it("starts from bases of length 1", () => {
    const module = new ExpectationMaximizationAttention({ channels });
    initialize(module);
    const lengths = columnLengths([...module.bases.value].map(Number), 64);
    expect(
      distance(
        lengths,
        lengths.map(() => 1),
      ),
    ).toBeLessThan(1e-5);
  });

  it("moves its bases by the momentum towards those of the batch, in training only", async () => {
    const kept = await movedBases({ momentum: 1 });
    const fresh = await movedBases({ momentum: 0 });
    const moved = await movedBases({ momentum: 0.9 });
    expect(kept).toEqual(numbers(stateDict(unit()).get("bases")!));
    const expected = kept.map((value, index) => 0.9 * value + 0.1 * fresh[index]!);
    expect(distance(moved, expected)).toBeLessThan(1e-6);
    expect(Math.max(...columnLengths(moved, 3))).toBeLessThan(1);
    expect((await run(unit(), x)).updates).toEqual({});
  });

  it("rebuilds pixels from as many vectors as it has bases: with one, all alike", async () => {
    // Far above zero, so that no ReLU cuts the sum.
    const bright = mapValues(x, (value) => value + 50);
    const y = numbers((await run(unit({ numBases: 1 }), bright)).outputs.y!);
    const added = numbers(bright).map((value, index) => y[index]! - value);
    const first = added.map((_, index) => added[index - (index % 20)]!);
    expect(distance(added, first)).toBeLessThan(1e-4);
    expect(Math.max(...added.map(Math.abs))).toBeGreaterThan(0.01);
  });

  it.each([
    [true, 0],
    [false, 1],
  ])("with detach %s passes gradients through the unit: %i", async (detach, passes) => {
    const module = unit({ detach });
    const body = (input: Tensor) => {
      const y = module.forward(input);
      const [dx, dw] = gradients(sum(y, { keepDims: false }), [input, module.conv1.weight]);
      return { y, dx: dx!, dw: dw! };
    };
    const { outputs } = await run(body, x);
    const open = numbers(outputs.y!).map((value) => (value > 0 ? 1 : 0));
    expect(distance(numbers(outputs.dx!), open) > 1e-4).toBe(passes === 1);
    expect(Math.max(...numbers(outputs.dw!).map(Math.abs)) > 1e-4).toBe(passes === 1);
  });

  it("has finite gradients for an image of zeros", async () => {
    const module = unit({ detach: false });
    module.conv1.bias!.value = new Float32Array(channels);
    const body = (input: Tensor) =>
      gradients(sum(module.forward(input), { keepDims: false }), [module.conv1.weight])[0]!;
    const { outputs } = await run(
      body,
      mapValues(x, () => 0),
    );
    expect(numbers(outputs.y!).every(Number.isFinite)).toBe(true);
  });

  it("costs in proportion to the pixels", () => {
    const cost = (height: number) =>
      ExpectationMaximizationAttention.about.macs(unit().options, { height, width: 3 });
    expect(cost(14)).toBe(2 * cost(7));
  });
});
