import { beforeEach, describe, expect, it } from "vitest";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import { SimAM } from "../../src/attention/channel-spatial/simam.js";
import { modelMaps } from "../../src/attention/model-maps.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { OptionError, ShapeError } from "../../src/base/errors.js";
import { fillNormal } from "../../src/base/random.js";
import { initialize, modelParts, namedVariables, trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { attach } from "../../src/models/attach.js";
import type { ImageModel } from "../../src/models/image-model.js";
import * as models from "../../src/models/registry.js";
import { Conv2d } from "../../src/nn/conv.js";
import { Module } from "../../src/nn/module.js";
import { Sequential } from "../../src/nn/sequential.js";
import { loadStateDict, stateDict } from "../../src/nn/state-dict.js";
import { relu } from "../../src/ops/activation.js";
import { graphCost } from "../../src/report/cost.js";
import { release, run } from "../../src/runtime/run.js";
import { crossEntropy } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { sgd } from "../../src/train/optimizers.js";
import { Trainer } from "../../src/train/trainer.js";

function images(count: number, size = 12): HostTensor {
  const data = new Float32Array(count * 3 * size * size);
  fillNormal(data, { seed: 3, stream: "images", step: 0 });
  return { dtype: "float32", shape: [count, 3, size, size], data };
}

const se = (channels: number) => new SqueezeExcitation({ channels });

/** Values that are not the initial ones, so that every parameter counts. */
function spread(model: ImageModel): void {
  initialize(model, { seed: 5 });
  for (const [path, variable] of namedVariables(model)) {
    if (!variable.trainable) continue;
    const noise = new Float32Array(variable.value.length);
    fillNormal(noise, { seed: 6, stream: path, step: 0 }, 0, 0.1);
    variable.value = (variable.value as Float32Array).map((value, at) => value + noise[at]!);
  }
}

let plain: ImageModel;
beforeEach(() => {
  plain = models.create("seresnet8", { attention: "none" });
});

describe("attach", () => {
  it("equals the network that was built with the mechanism", async () => {
    const built = models.create("seresnet8", { attention: "se" });
    spread(built);
    const { layers } = attach(plain, "layer*.bn2", se);
    expect([...layers.keys()]).toEqual([
      "layer1.0.bn2Attention",
      "layer2.0.bn2Attention",
      "layer3.0.bn2Attention",
    ]);
    expect([...layers.values()].map(({ options }) => options.channels)).toEqual([16, 32, 64]);
    const renamed = [...stateDict(built)].map(
      ([path, value]) => [path.replace(".se.", ".bn2Attention."), value] as const,
    );
    loadStateDict(plain, new Map(renamed));
    const x = images(2);
    const [expected, found] = [await run(built, x, { taps: ["*"] }), await run(plain, x, { taps: ["*"] })];
    expect(found.outputs).toEqual(expected.outputs);
    const tapsOf = (taps: object) =>
      Object.entries(taps).map(([path, value]) => [path.replace(".se.", ".bn2Attention."), value]);
    expect(tapsOf(found.taps).sort()).toEqual(tapsOf(expected.taps).sort());
    await Promise.all([release(built), release(plain)]);
  });

  it("leaves every path of the network as it was", () => {
    const before = stateDict(plain);
    const macs = () => graphCost(trace(plain, { shape: [1, 3, 8, 8] }).outputs.values()).byModule;
    const costs = macs();
    attach(plain, "*.conv2", se);
    const after = stateDict(plain);
    expect([...after.keys()].filter((path) => !path.includes("conv2Attention."))).toEqual([...before.keys()]);
    const report = loadStateDict(plain, before, { strict: false });
    expect(report).toMatchObject({ unused: [], mismatched: [] });
    expect(report.missing).toHaveLength(3 * 4);
    expect(macs().get("layer1.0.conv2")).toEqual(costs.get("layer1.0.conv2"));
    expect(macs().get("layer1.0.conv2Attention")!.macs).toBe(2 * 16 * 8);
  });

  it("attaches where the pattern says only, and finds the maps", () => {
    const { layers } = attach(plain, ["layer3.*.conv2", "layer2.0"], (channels, { path, shape }) => {
      expect(shape).toEqual([2, channels, ...(path === "layer2.0" ? [32, 32] : [16, 16])]);
      return se(channels);
    });
    expect([...layers.keys()]).toEqual(["layer2.0Attention", "layer3.0.conv2Attention"]);
    expect(modelMaps(plain).map(({ tap }) => tap)).toEqual([
      "layer2.0Attention.attention",
      "layer3.0.conv2Attention.attention",
    ]);
  });

  it("survives a round trip of the state dict", async () => {
    attach(plain, "*.conv2", se);
    spread(plain);
    const other = models.create("seresnet8", { attention: "none" });
    attach(other, "*.conv2", se);
    loadStateDict(other, stateDict(plain));
    const x = images(1);
    expect((await run(other, x)).outputs).toEqual((await run(plain, x)).outputs);
    await Promise.all([release(other), release(plain)]);
  });

  it("trains what is attached", async () => {
    const { layers } = attach(plain, "*.conv2", se);
    initialize(plain);
    const weight = layers.get("layer1.0.conv2Attention")!.fc1.weight;
    const before = weight.value.slice();
    const trainer = await Trainer.create({
      model: plain,
      objective: supervised({ model: plain, loss: crossEntropy }),
      inputs: { x: { shape: [4, 3, 12, 12] }, y: { shape: [4], dtype: "int64" } },
      optimizer: sgd(),
      schedule: 0.1,
    });
    const batch = {
      x: images(4),
      y: { dtype: "int64", shape: [4], data: BigInt64Array.of(0n, 1n, 2n, 3n) },
    } as const;
    const losses: number[] = [];
    for (let step = 0; step < 5; step++) losses.push((await trainer.step(batch)).loss);
    await trainer.syncToModel();
    await trainer.close();
    expect(losses.at(-1)).toBeLessThan(losses[0]!);
    expect(weight.value).not.toEqual(before);
  });

  it("is taken off again, and run notices both", async () => {
    spread(plain);
    const x = images(1);
    const before = (await run(plain, x)).outputs;
    const paths = [...namedVariables(plain).keys()];
    const first = attach(plain, "layer1.0.bn2", () => new SimAM({}));
    const second = attach(plain, ["layer1.0.conv1", "layer2.0.conv1"], () => new SimAM({}));
    const both = (await run(plain, x)).outputs;
    expect(both).not.toEqual(before);
    first.detach();
    expect((await run(plain, x)).outputs).not.toEqual(both);
    second.detach();
    second.detach();
    expect((await run(plain, x)).outputs).toEqual(before);
    expect([...namedVariables(plain).keys()]).toEqual(paths);
    const [block] = [...modelParts(plain)].find(([, path]) => path === "layer1.0")!;
    expect(Object.getOwnPropertyNames(block)).not.toContain("ownParts");
    await release(plain);
  });

  it("takes the type of the input where a network begins with neither convolution nor linear layer", () => {
    class Late extends Module {
      readonly body = new Sequential(new Conv2d({ inChannels: 6, outChannels: 4, kernel: 1 }));
      forward({ left, right }: { left: Tensor; right: Tensor }): { y: Tensor } {
        return { y: relu(this.body.forward(left.size(1) === 6 ? left : right)) };
      }
    }
    const input = { left: { shape: [1, 6, 4, 4] }, right: { shape: [1, 2, 4, 4] } };
    expect([...attach(new Late(), "body.0", se, { input }).layers.keys()]).toEqual(["body.0Attention"]);
  });
});

describe("attach refuses", () => {
  const refusal = (body: () => unknown): Error => {
    const before = [...namedVariables(plain).keys()];
    try {
      body();
    } catch (error) {
      expect([...namedVariables(plain).keys()], "nothing is left behind").toEqual(before);
      expect(() => trace(plain, { shape: [2, 3, 8, 8] })).not.toThrow();
      return error as Error;
    }
    throw new Error("it was accepted");
  };

  it("a pattern that fits nothing", () => {
    const error = refusal(() => attach(plain, ["*.conv2", "layer9.*"], se));
    expect(error).toBeInstanceOf(OptionError);
    expect(error.message).toMatch(
      /no module fits "layer9\.\*"; the network has conv1, bn1, layer1\.0, .* and \d+ more/,
    );
  });

  it("a second attachment, and a name that is taken", () => {
    attach(plain, "layer1.0.conv2", se);
    expect(refusal(() => attach(plain, "*.conv2", se)).message).toBe(
      "attach: layer1.0.conv2 has an attachment already",
    );
    class Named extends Module {
      readonly conv = new Conv2d({ inChannels: 2, outChannels: 2, kernel: 1 });
      readonly convAttention = se(2);
      forward(x: Tensor): Tensor {
        return this.convAttention.forward(this.conv.forward(x));
      }
    }
    expect(() => attach(new Named(), "conv", se)).toThrow("convAttention is a module of the network already");
  });

  it("a layer that changes the shape", () => {
    const wider = (channels: number) => new Conv2d({ inChannels: channels, outChannels: 5, kernel: 1 });
    const error = refusal(() => attach(plain, "*.conv2", wider));
    expect(error).toBeInstanceOf(ShapeError);
    expect(error.message).toContain(
      "layer1.0.conv2Attention must keep the shape, found [2, 16, 64, 64] to [2, 5, 64, 64]",
    );
  });

  it("a module that is not called, and what has no channels", () => {
    class Idle extends Module {
      readonly conv = new Conv2d({ inChannels: 2, outChannels: 2, kernel: 1 });
      readonly spare = new Conv2d({ inChannels: 2, outChannels: 2, kernel: 1 });
      forward(x: Tensor): Tensor {
        return this.conv.forward(x);
      }
    }
    expect(() => attach(new Idle(), "spare", se)).toThrow("does not call that of spare");
    class Empty extends Module {
      readonly part = new SimAM({});
      forward(x: Tensor): Tensor {
        return this.part.forward(x);
      }
    }
    expect(() => attach(new Empty(), "part", se)).toThrow("give its input's type");
  });

  it("an input that it guessed and that does not fit, with a hint", () => {
    class Small extends Module {
      readonly conv = new Conv2d({ inChannels: 2, outChannels: 2, kernel: 1 });
      forward(x: Tensor): Tensor {
        if (x.size(2) !== 8) throw new ShapeError(`height must be 8, found ${x.size(2)}`);
        return this.conv.forward(x);
      }
    }
    expect(() => attach(new Small(), "conv", se)).toThrow(
      /height must be 8, found 64.*tried an input of \[2, 2, 64, 64\]/,
    );
  });
});
