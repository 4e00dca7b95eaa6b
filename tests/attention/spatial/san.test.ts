import { describe, expect, it } from "vitest";
import { PairwiseSelfAttention } from "../../../src/attention/spatial/san-pairwise.js";
import { PatchwiseSelfAttention } from "../../../src/attention/spatial/san-patchwise.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { ShapeError } from "../../../src/base/errors.js";
import { constant } from "../../../src/graph/constant.js";
import { trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { conv } from "../../../src/ops/conv.js";
import { reflectPad } from "../../../src/ops/reflect-pad.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize, setValues } from "../images.js";

const options = { channels: 6, relationChannels: 3, outChannels: 8, shareChannels: 4, kernelSize: 3 };
const channels = 8;

/** The output at the pixel in the middle of 3 x 3. */
async function middle(
  module: PairwiseSelfAttention | PatchwiseSelfAttention,
  x: HostTensor,
): Promise<number[]> {
  return numbers((await run(module, x)).outputs.y!).filter((_, index) => index % 9 === 4);
}

/** The neighbours of the middle pixel moved around it by one. */
const ring = [3, 0, 1, 6, 4, 2, 7, 8, 5];

describe("self-attention of SAN", () => {
  it("sees the neighbours as a set if it is pairwise and has no positions, and not if it is patchwise", async () => {
    const x = image([1, 6, 3, 3]);
    const values = numbers(x);
    const rotated = mapValues(x, (_, index) => values[index - (index % 9) + ring[index % 9]!]!);
    const pairwise = randomize(new PairwiseSelfAttention(options));
    expect(distance(await middle(pairwise, x), await middle(pairwise, rotated))).toBeGreaterThan(1e-2);
    setValues(pairwise, "positionConv.weight", 0);
    expect(distance(await middle(pairwise, x), await middle(pairwise, rotated))).toBeLessThan(1e-5);
    const patchwise = randomize(new PatchwiseSelfAttention(options));
    expect(distance(await middle(patchwise, x), await middle(patchwise, rotated))).toBeGreaterThan(1e-2);
  });

  it("is a convolution with shared kernels if it is patchwise and its weights are constant", async () => {
    const module = randomize(new PatchwiseSelfAttention(options));
    setValues(module, "weightConv2.weight", 0);
    const kernels = [...(module.weightConv2.bias!.value as Float32Array)];
    const [groups, window] = [2, 9];
    const filters = Array.from({ length: channels * window }, (_, index) => {
      const channel = Math.floor(index / window);
      return kernels[(channel % groups) * window + (index % window)]!;
    });
    const reference = ({ x }: { x: Tensor }) =>
      conv(
        reflectPad(module.valueConv.forward(x), { padding: 1 }),
        constant(filters, { shape: [channels, 1, 3, 3] }),
        undefined,
        { groups: channels },
      );
    const x = image([2, 6, 4, 5]);
    const expected = numbers((await run(reference, { x })).outputs.y!);
    expect(distance(numbers((await run(module, x)).outputs.y!), expected)).toBeLessThan(1e-5);
  });

  it("refuses an image that is not larger than the padding of its windows", () => {
    const traced = (module: PairwiseSelfAttention | PatchwiseSelfAttention, sizes: readonly number[]) =>
      trace(module, { shape: [1, 6, ...sizes] });
    const dilated = new PairwiseSelfAttention({ ...options, dilation: 3 });
    expect(() => traced(dilated, [3, 8])).toThrow(ShapeError);
    expect(() => traced(dilated, [8, 3])).toThrow(ShapeError);
    expect(traced(dilated, [4, 4]).outputs.get("y")!.shape).toEqual([1, 8, 4, 4]);
    const patchwise = new PatchwiseSelfAttention({ ...options, kernelSize: 7 });
    expect(() => traced(patchwise, [3, 4])).toThrow(ShapeError);
    expect(traced(patchwise, [4, 4]).outputs.get("y")!.shape).toEqual([1, 8, 4, 4]);
  });

  it("has the widths of the paper's networks by default", () => {
    const module = new PairwiseSelfAttention({ channels: 256 });
    expect(module.queryConv.weight.shape).toEqual([16, 256, 1, 1]);
    expect(module.valueConv.weight.shape).toEqual([64, 256, 1, 1]);
    expect(module.weightConv2.weight.shape).toEqual([8, 16, 1, 1]);
  });
});
