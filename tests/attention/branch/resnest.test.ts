import { describe, expect, it } from "vitest";
import { SplitAttention } from "../../../src/attention/branch/resnest.js";
import { SqueezeExcitation } from "../../../src/attention/channel/squeeze-excitation.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { loadStateDict, stateDict } from "../../../src/nn/state-dict.js";
import { relu } from "../../../src/ops/activation.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

describe("split attention", () => {
  it("is a convolution followed by squeeze-and-excitation where there is one split", async () => {
    const x = image([2, 6, 5, 4]);
    const module = randomize(
      new SplitAttention({ inChannels: 6, radix: 1, norm: false, reducedChannels: 5 }),
    );
    const se = new SqueezeExcitation({ channels: 6, reducedChannels: 5 });
    loadStateDict(se, new Map([...stateDict(module)].filter(([path]) => path.startsWith("fc"))));
    const expected = await run((t: Tensor) => se.forward(relu(module.conv.forward(t))), x);
    const { outputs } = await run(module, x);
    expect(distance(numbers(outputs.y!), numbers(expected.outputs.y!))).toBeLessThan(1e-6);
  });

  it("has a convolution whose cost does not grow with the splits", () => {
    const weights = [1, 2, 4].map((radix) =>
      new SplitAttention({ inChannels: 8, radix }).conv.weight.shape.reduce<number>(
        (count, size) => count * Number(size),
        1,
      ),
    );
    expect(new Set(weights)).toEqual(new Set([8 * 8 * 9]));
  });

  it("has an attention of at least 32 hidden channels, from the input's channels, unless they are given", () => {
    const hidden = (options: ConstructorParameters<typeof SplitAttention>[0]) =>
      new SplitAttention(options).fc1.weight.shape[0];
    expect(hidden({ inChannels: 8, outChannels: 256 })).toBe(32);
    expect(hidden({ inChannels: 64, outChannels: 8 })).toBe(32);
    expect(hidden({ inChannels: 128 })).toBe(64);
    expect(hidden({ inChannels: 8, radix: 2, reducedChannels: 3 })).toBe(6);
  });

  it("pads by half of the kernel, whatever the dilation", async () => {
    const module = new SplitAttention({ inChannels: 4, kernelSize: 5, dilation: 2 });
    expect((await run(module, image([1, 4, 9, 7]))).outputs.y!.shape).toEqual([1, 4, 5, 3]);
  });
});
