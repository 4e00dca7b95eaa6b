import { describe, expect, it } from "vitest";
import { SimplifiedNonLocal } from "../../../src/attention/spatial/simplified-nl.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { square } from "../../../src/ops/arithmetic.js";
import { gradients } from "../../../src/ops/gradients.js";
import { sum } from "../../../src/ops/reduce.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

const channels = 5;
const x = image([2, channels, 3, 4]);

/** Output and gradients of its squared length over input and weights. */
async function results(module: SimplifiedNonLocal): Promise<Record<string, number[]>> {
  const body = (input: Tensor) => {
    const y = module.forward(input);
    const loss = sum(square(y), { keepDims: false });
    const [dx, key, value] = gradients(loss, [input, module.convKey.weight, module.convValue.weight]);
    return { y, dx: dx!, key: key!, value: value! };
  };
  const { outputs } = await run(body, x);
  return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, numbers(tensor)]));
}

describe("simplified non-local block", () => {
  it.each([false, true])("gives one result in both orders, bias %s", async (bias) => {
    const poolFirst = randomize(new SimplifiedNonLocal({ channels, bias }));
    const transformFirst = new SimplifiedNonLocal({ channels, bias, order: "transform-first" });
    loadStateDict(transformFirst, stateDict(poolFirst));
    const [a, b] = [await results(poolFirst), await results(transformFirst)];
    for (const name of ["y", "dx", "key", "value"]) {
      const scale = Math.max(...a[name]!.map(Math.abs));
      expect(scale, name).toBeGreaterThan(0.1);
      expect(distance(a[name]!, b[name]!) / scale, name).toBeLessThan(1e-5);
    }
  });

  it("adds the same vector to every pixel", async () => {
    const { y } = (await run(randomize(new SimplifiedNonLocal({ channels })), x)).outputs;
    const added = numbers(y!).map((value, index) => value - numbers(x)[index]!);
    expect(
      distance(
        added,
        added.map((_, index) => added[index - (index % 12)]!),
      ),
    ).toBeLessThan(1e-5);
  });
});
