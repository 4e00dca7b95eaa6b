import { DoubleAttention } from "../../src/attention/spatial/a2.js";
import { AFNB } from "../../src/attention/spatial/afnb.js";
import { APNB } from "../../src/attention/spatial/apnb.js";
import { CrissCrossAttention } from "../../src/attention/spatial/ccnet.js";
import { DANetPosition } from "../../src/attention/spatial/danet-position.js";
import { ExpectationMaximizationAttention } from "../../src/attention/spatial/ema.js";
import { GlobalContext } from "../../src/attention/spatial/gc.js";
import { NonLocal } from "../../src/attention/spatial/non-local.js";
import { SimplifiedNonLocal } from "../../src/attention/spatial/simplified-nl.js";
import { type InputType, type Model, namedParameters, trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { checkpointed } from "../../src/nn/checkpointed.js";
import { Conv2d } from "../../src/nn/conv.js";
import { Module } from "../../src/nn/module.js";
import { Sequential } from "../../src/nn/sequential.js";
import { add, gradients, mean, relu, square } from "../../src/ops/index.js";
import type { Workload } from "./forms.js";

/** Channels of a block, and of its queries and keys, as in the published comparisons at 97 x 97. */
const [channels, keyChannels] = [512, 64];

/** Blocks on feature maps of 512 channels; `position` is the non-local block of the comparison of CCNet, without output layer. */
export const blocks: Readonly<Record<string, () => Model>> = {
  "non-local": () => new NonLocal({ channels, subSample: false }),
  position: () => new DANetPosition({ channels, reduction: channels / keyChannels }),
  "criss-cross": () => new CrissCrossAttention({ channels, reduction: channels / keyChannels }),
  ema: () => new ExpectationMaximizationAttention({ channels }),
  apnb: () => new APNB({ channels }),
  afnb: () => new AFNB({ lowChannels: channels, highChannels: channels, outChannels: channels }),
  gc: () => new GlobalContext({ channels }),
  "simplified-nl": () => new SimplifiedNonLocal({ channels }),
};

/** The inputs of a block on an image of that many channels. */
export function blockInputs(
  name: string,
  shape: readonly number[],
): InputType | Readonly<Record<string, InputType>> {
  return name === "afnb" ? { low: { shape }, high: { shape } } : { shape };
}

class ResidualBlock extends Module {
  readonly conv1 = new Conv2d({ inChannels: 32, outChannels: 32, kernel: 3, padding: 1, bias: false });
  readonly bn1 = new BatchNorm({ channels: 32 });
  readonly conv2 = new Conv2d({ inChannels: 32, outChannels: 32, kernel: 3, padding: 1, bias: false });
  readonly bn2 = new BatchNorm({ channels: 32 });

  forward(x: Tensor): Tensor {
    const hidden = relu(this.bn1.forward(this.conv1.forward(x)));
    return relu(add(x, this.bn2.forward(this.conv2.forward(hidden))));
  }
}

/** Loss and gradients of eight residual blocks, whose intermediates are kept or computed again. */
function training(kind: "kept" | "checkpointed"): Workload {
  return () => {
    const layers = Array.from({ length: 8 }, () => new ResidualBlock());
    const model = new Sequential(...(kind === "kept" ? layers : layers.map((layer) => checkpointed(layer))));
    const graph = trace(model, { shape: [16, 32, 56, 56] }, { training: true });
    const parameters = [...namedParameters(model)];
    const loss = mean(square(graph.outputs.get("y")!), { keepDims: false });
    const slopes = gradients(
      loss,
      parameters.map(([, parameter]) => parameter),
    );
    const outputs = parameters.map(([path], index) => [path, slopes[index]!] as const);
    return { ...graph, outputs: new Map([["loss", loss], ...outputs]) };
  };
}

const positions = [32, 64, 96, 128].map((side): [string, Workload] => [
  `non-local ${side}`,
  () =>
    trace(new NonLocal({ channels: 64, innerChannels: 64, subSample: false }), {
      shape: [1, 64, side, side],
    }),
]);

const doubleAttention = (["gather-first", "attention-first"] as const).map((order): [string, Workload] => [
  `a2 ${order}`,
  // The frames one below the other: the block makes no difference between axes.
  () => trace(new DoubleAttention({ channels: 64, order }), { shape: [1, 64, 32 * 28, 28] }),
]);

const large = Object.entries(blocks).map(([name, build]): [string, Workload] => [
  `${name} 97`,
  () => trace(build(), blockInputs(name, [1, channels, 97, 97])),
]);

export const workloads: Readonly<Record<string, Workload>> = Object.fromEntries<Workload>([
  ...positions,
  ...doubleAttention,
  ...large,
  ["training kept", training("kept")],
  ["training checkpointed", training("checkpointed")],
]);
