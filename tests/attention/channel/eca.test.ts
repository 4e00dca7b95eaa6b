import { describe, expect, it } from "vitest";
import { ECA } from "../../../src/attention/channel/eca.js";
import { OptionError } from "../../../src/base/errors.js";
import { channelOf, image, mapValues, randomize, tapOf } from "../images.js";

function kernelOf(options: ConstructorParameters<typeof ECA>[0]): number {
  return new ECA(options).conv.weight.shape[2]!;
}

/** Channels whose gates move when one channel of the input changes. */
async function moved(module: ECA, channel: number): Promise<number[]> {
  const x = image([1, module.options.channels, 3, 4]);
  const other = mapValues(x, (value, index) => (channelOf(x, index) === channel ? value + 1 : value));
  const [before, after] = [await tapOf(module, x), await tapOf(module, other)];
  return before.flatMap((gate, index) => (gate === after[index] ? [] : [index]));
}

describe("efficient channel attention", () => {
  it.each([
    [1, 3],
    [4, 3],
    [127, 3],
    [128, 5],
    [2047, 5],
    [2048, 7],
    [32767, 7],
    [32768, 9],
  ])("chooses its kernel for %i channels", (channels, kernel) => {
    expect(kernelOf({ channels })).toBe(kernel);
  });

  it("follows gamma and beta, and a given size before both", () => {
    expect(kernelOf({ channels: 256, gamma: 1 })).toBe(9);
    expect(kernelOf({ channels: 256, gamma: 1, beta: 2 })).toBe(11);
    expect(kernelOf({ channels: 256, beta: -20 })).toBe(7);
    expect(kernelOf({ channels: 2048, kernelSize: 1 })).toBe(1);
    expect(kernelOf({ channels: 2048, kernelSize: null })).toBe(7);
  });

  it("lets a channel reach the gates of its neighbours only", async () => {
    const module = randomize(new ECA({ channels: 12, kernelSize: 5 }));
    expect(await moved(module, 6)).toEqual([4, 5, 6, 7, 8]);
    expect(await moved(module, 0)).toEqual([0, 1, 2]);
  });

  it("reaches around the ends where it is circular", async () => {
    const module = randomize(new ECA({ channels: 12, kernelSize: 5, circular: true }));
    expect(await moved(module, 0)).toEqual([0, 1, 2, 10, 11]);
    expect(await moved(module, 11)).toEqual([0, 1, 9, 10, 11]);
    expect(await moved(randomize(new ECA({ channels: 3, kernelSize: 1, circular: true })), 1)).toEqual([1]);
  });

  it("takes a kernel longer than the channels, circular up to the whole turn on each side", () => {
    expect(kernelOf({ channels: 4, kernelSize: 11 })).toBe(11);
    expect(kernelOf({ channels: 4, kernelSize: 9, circular: true })).toBe(9);
    expect(() => new ECA({ channels: 4, kernelSize: 11, circular: true })).toThrow(OptionError);
  });

  it("has the 80 parameters of ECA-Net50 with the paper's kernel sizes, 86 with adaptive ones", () => {
    const blocks = [3, 4, 6, 3];
    const total = (kernels: readonly number[]) =>
      kernels.reduce((sum, kernel, stage) => sum + kernel * blocks[stage]!, 0);
    expect(total([3, 5, 5, 7])).toBe(80);
    expect(total([256, 512, 1024, 2048].map((channels) => kernelOf({ channels })))).toBe(86);
  });
});
