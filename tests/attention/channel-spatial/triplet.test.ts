import { describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../../src/attention/channel/squeeze-excitation.js";
import { TripletAttention } from "../../../src/attention/channel-spatial/triplet.js";
import type { HostTensor } from "../../../src/base/dtype.js";
import { parameterCount } from "../../../src/graph/model.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, mapValues, randomize } from "../images.js";

/** The channels in reverse order. */
function reversed(x: HostTensor): HostTensor {
  const [, channels = 1, height = 1, width = 1] = x.shape;
  const pixels = height * width;
  const values = numbers(x);
  return mapValues(x, (_, index) => {
    const [sample, inside] = [Math.floor(index / (channels * pixels)), index % (channels * pixels)];
    const channel = channels - 1 - Math.floor(inside / pixels);
    return values[sample * channels * pixels + channel * pixels + (inside % pixels)]!;
  });
}

describe("triplet attention", () => {
  it("has 300 parameters and takes any number of channels", async () => {
    const module = new TripletAttention({});
    expect(parameterCount(module)).toBe(300);
    for (const shape of [
      [2, 3, 4, 5],
      [1, 17, 2, 3],
    ]) {
      expect((await run(module, image(shape))).outputs.y!.shape).toEqual(shape);
    }
  });

  it("multiplies by the mean of its gates", async () => {
    const x = image([1, 3, 4, 5]);
    const module = randomize(new TripletAttention({ kernelSize: 3 }));
    const { outputs, taps } = await run(module, x, { taps: ["*.attention"] });
    const gate = (name: string) => numbers(taps[`${name}.attention`]!);
    const [cw, hc, hw] = [gate("cw"), gate("hc"), gate("hw")];
    const expected = numbers(x).map((value, index) => {
      const [c, h, w] = [Math.floor(index / 20), Math.floor(index / 5) % 4, index % 5];
      return (value * (cw[c * 5 + w]! + hc[h * 3 + c]! + hw[h * 5 + w]!)) / 3;
    });
    const y = numbers(outputs.y!);
    expect(distance(y, expected)).toBeLessThan(1e-6);
    expect(y.every((value, index) => Math.abs(value) < Math.abs(numbers(x)[index]!))).toBe(true);
  });

  it("depends on the order of the channels, unlike squeeze-and-excitation of equal channels", async () => {
    const x = image([2, 8, 5, 6]);
    const outputOf = async (module: TripletAttention | SqueezeExcitation, input: HostTensor) =>
      (await run(module, input)).outputs.y!;
    const triplet = randomize(new TripletAttention({}));
    const moved = await outputOf(triplet, reversed(x));
    expect(distance(numbers(moved), numbers(reversed(await outputOf(triplet, x))))).toBeGreaterThan(0.01);
    const se = new SqueezeExcitation({ channels: 8 });
    se.fc1.weight.value = new Float32Array(se.fc1.weight.shape.reduce((a, b) => a * Number(b), 1)).fill(0.3);
    se.fc2.weight.value = new Float32Array(se.fc2.weight.shape.reduce((a, b) => a * Number(b), 1)).fill(0.2);
    se.fc2.bias!.value = new Float32Array(8);
    const recalibrated = await outputOf(se, reversed(x));
    expect(distance(numbers(recalibrated), numbers(reversed(await outputOf(se, x))))).toBeLessThan(1e-5);
  });
});
