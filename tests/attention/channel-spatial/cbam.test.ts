import { describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../../src/attention/channel/squeeze-excitation.js";
import { CBAM } from "../../../src/attention/channel-spatial/cbam.js";
import { parameterCount } from "../../../src/graph/model.js";
import { stateDict } from "../../../src/nn/state-dict.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { channelOf, distance, image, mapValues, randomize, tapOf } from "../images.js";

describe("CBAM", () => {
  it.each([
    [16, 7],
    [64, 7],
    [64, 3],
    [256, 5],
  ])("adds 2k^2 + 2 weights to squeeze-and-excitation (C = %i, k = %i)", (channels, kernelSize) => {
    const cbam = new CBAM({ channels, reducedChannels: 4, kernelSize });
    const se = new SqueezeExcitation({ channels, reducedChannels: 4, bias: false });
    expect(parameterCount(cbam) - parameterCount(se)).toBe(2 * kernelSize ** 2 + 2);
  });

  it("gates channels first: in the other order it gives another result", async () => {
    const module = randomize(new CBAM({ channels: 8, reduction: 2 }));
    const x = image([2, 8, 6, 5]);
    const output = numbers((await run(module, x)).outputs.y!);
    const channelFirst = (await run(module.channel, x)).outputs.y!;
    const inOrder = numbers((await run(module.spatial, channelFirst)).outputs.y!);
    const spatialFirst = (await run(module.spatial, x)).outputs.y!;
    const swapped = numbers((await run(module.channel, spatialFirst)).outputs.y!);
    expect(distance(output, inOrder)).toBeLessThan(1e-6);
    expect(distance(output, swapped)).toBeGreaterThan(1e-3);
  });

  it("gates a constant image by sigmoid(2 mlp(mean))", async () => {
    const module = randomize(new CBAM({ channels: 4, reducedChannels: 3 }));
    const perChannel = [0.5, -1, 2, 0.25];
    const shaped = image([1, 4, 3, 5]);
    const x = mapValues(shaped, (_, index) => perChannel[channelOf(shaped, index)]!);
    const values = stateDict(module);
    const product = (name: string, vector: readonly number[]) => {
      const { shape, data } = values.get(name)!;
      return Array.from({ length: shape[0]! }, (_, row) =>
        vector.reduce((sum, value, column) => sum + Number(data[row * shape[1]! + column]) * value, 0),
      );
    };
    const hidden = product("channel.fc1.weight", perChannel).map((value) => Math.max(0, value));
    const expected = product("channel.fc2.weight", hidden).map((value) => 1 / (1 + Math.exp(-2 * value)));
    expect(distance(await tapOf(module, x, "channel.attention"), expected)).toBeLessThan(1e-6);
  });

  it("rounds the hidden width half up", () => {
    expect(new CBAM({ channels: 24, reduction: 5 }).channel.fc1.weight.shape[0]).toBe(5);
    expect(new CBAM({ channels: 4, reduction: 16 }).channel.fc1.weight.shape[0]).toBe(1);
  });
});
