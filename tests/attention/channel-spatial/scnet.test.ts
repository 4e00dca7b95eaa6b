import { describe, expect, it } from "vitest";
import { SCNet } from "../../../src/attention/channel-spatial/scnet.js";
import { SelfCalibratedBottleneck } from "../../../src/attention/channel-spatial/self-calibrated-bottleneck.js";
import { namedVariables, trace } from "../../../src/graph/model.js";
import type { Tensor } from "../../../src/graph/tensor.js";
import { run } from "../../../src/runtime/run.js";
import { image, mapValues, randomize, tapOf } from "../images.js";

/** Attributes of the average pools that a graph applies, inputs first. */
function pools(module: SCNet, shape: readonly number[]): unknown[] {
  const graph = trace(module, { shape });
  const seen = new Set<Tensor>();
  const visit = (tensor: Tensor) => {
    if (seen.has(tensor)) return;
    for (const input of tensor.inputs) visit(input);
    seen.add(tensor);
  };
  for (const output of graph.outputs.values()) visit(output);
  return [...seen]
    .filter(({ op }) => op.opName === "averagePool")
    .map(({ attributes: { kernel, stride, padding, countIncludePad, ceilMode } }) => ({
      kernel,
      stride,
      padding,
      countIncludePad,
      ceilMode,
    }));
}

describe("self-calibrated convolutions", () => {
  it("has as many 3x3 weights on two halves as one convolution on all channels", () => {
    const channels = 16;
    // 16 planes and a width of 32 make two halves of 8 channels.
    const module = new SCNet({ block: "bottleneck", inChannels: 64, planes: 16 });
    const weights = [...namedVariables(module).values()]
      .filter(({ shape }) => shape[2] === 3)
      .map(({ shape }) => shape.reduce<number>((count, size) => count * Number(size), 1));
    expect(weights).toHaveLength(4);
    expect(weights.reduce((sum, count) => sum + count, 0)).toBe(9 * channels ** 2);
  });

  it("calibrates a pixel by a field of three pooling windows", async () => {
    const module = randomize(new SCNet({ channels: 3, poolingRate: 4 }));
    const x = image([1, 3, 20, 20]);
    // Pixel (8, 8) lies in pooled row and column 2, which see rows and columns 4 to 15.
    const changed = async (row: number, column: number) => {
      const pixel = row * 20 + column;
      const other = mapValues(x, (value, index) => (index % 400 === pixel ? value + 3 : value));
      const [before, after] = [
        await tapOf(module, x, "calibration"),
        await tapOf(module, other, "calibration"),
      ];
      return before[8 * 20 + 8] !== after[8 * 20 + 8];
    };
    expect([await changed(4, 4), await changed(15, 15), await changed(15, 8)]).toEqual([true, true, true]);
    expect([await changed(3, 8), await changed(8, 16)]).toEqual([false, false]);
  });

  it("pools with the zeros around the image in the halves, without them in the shortcut", () => {
    const options = { block: "bottleneck", inChannels: 8, planes: 4, poolingRate: 2 } as const;
    const shape = [1, 8, 7, 9];
    const calibration = {
      kernel: [2, 2],
      stride: [2, 2],
      padding: [0, 0, 0, 0],
      countIncludePad: true,
      ceilMode: false,
    };
    const half = (stride: number) => ({
      kernel: [3, 3],
      stride: [stride, stride],
      padding: [1, 1, 1, 1],
      countIncludePad: true,
      ceilMode: false,
    });
    const shortcut = { ...calibration, countIncludePad: false, ceilMode: true };
    expect(pools(new SCNet({ ...options, stride: 2 }), shape)).toEqual([calibration]);
    expect(pools(new SCNet({ ...options, avd: true }), shape)).toEqual([calibration]);
    expect(pools(new SCNet({ ...options, avd: true, isFirst: true }), shape)).toEqual([
      half(1),
      calibration,
      half(1),
    ]);
    expect(pools(new SCNet({ ...options, stride: 2, avd: true, avgDown: true }), shape)).toEqual([
      half(2),
      calibration,
      half(2),
      shortcut,
    ]);
  });

  it("keeps the input as shortcut only where shape and stride allow", () => {
    const shared = { dilation: 1, groups: 1, poolingRate: 2, bottleneckWidth: 32 } as const;
    const flags = { avd: false, isFirst: false, avgDown: false } as const;
    const projects = (inChannels: number, stride: number) =>
      new SelfCalibratedBottleneck({ ...shared, ...flags, inChannels, planes: 4, stride }).downsample !==
      undefined;
    expect([projects(16, 1), projects(16, 2), projects(8, 1)]).toEqual([false, true, true]);
  });

  it("halves odd sizes up in every part of a strided block", async () => {
    const module = new SCNet({
      block: "bottleneck",
      inChannels: 6,
      planes: 4,
      poolingRate: 2,
      stride: 2,
      avd: true,
      avgDown: true,
    });
    expect((await run(module, image([1, 6, 7, 5]))).outputs.y!.shape).toEqual([1, 16, 4, 3]);
  });

  it("refuses an image smaller than a pooling window", async () => {
    await expect(run(new SCNet({ channels: 3 }), image([1, 3, 3, 9]))).rejects.toThrow(
      "height and width must be at least poolingRate 4, found [1, 3, 3, 9]",
    );
  });
});
