import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Target } from "../../src/graph/emitter.js";
import { initialize } from "../../src/graph/model.js";
import { create, info } from "../../src/models/registry.js";
import { crossEntropy } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { sgd } from "../../src/train/optimizers.js";
import { buildTrainingStep } from "../../src/train/training-step.js";

/**
 * Creating a session takes time in proportion to the nodes of its model, so the training steps of the registry's networks have counts
 * that they must not exceed. After a change that is worth more nodes, or that saves some, write the counts anew:
 *
 *   FOVEA_NODE_COUNTS=write npx vitest run tests/train/node-counts.test.ts
 */
const file = new URL("node-counts.json", import.meta.url);

const targets: Readonly<Record<string, Target>> = {
  plain: { kind: "cpu", opset: 21 },
  blocked: { kind: "cpu", opset: 21, channelBlock: 16 },
};

/** One network of every kind; deeper ones repeat its blocks. */
const networks = [
  "resnet18",
  "resnet50",
  "seresnet8",
  "seresnet20",
  "seresnet50",
  "ecaresnet50d",
  "cbamresnet18",
  "gcresnet18",
  "skresnet18",
  "resnest14d",
  "mobilenet_v2",
  "mobilenet_v3_small",
  "vit_micro_patch4_32",
];

type Counts = Record<string, Record<string, number>>;

function countNodes(name: string): Record<string, number> {
  const { imageSize } = info(name);
  const count = (target: Target) => {
    const model = create(name);
    initialize(model);
    return buildTrainingStep({
      model,
      objective: supervised({ model, loss: crossEntropy }),
      inputs: { x: { shape: [16, 3, imageSize, imageSize] }, y: { shape: [16], dtype: "int64" } },
      optimizer: sgd({ momentum: 0.9, weightDecay: 5e-4 }),
      target,
    }).nodeCount;
  };
  return Object.fromEntries(Object.entries(targets).map(([kind, target]) => [kind, count(target)]));
}

describe("the nodes of a training step", () => {
  const counts: Counts = Object.fromEntries(networks.map((name) => [name, countNodes(name)]));
  if (process.env.FOVEA_NODE_COUNTS === "write") writeFileSync(file, `${JSON.stringify(counts, null, 2)}\n`);
  const stored = JSON.parse(readFileSync(file, "utf8")) as Counts;

  it("are stored for each network", () => {
    expect(Object.keys(stored)).toEqual(networks);
  });

  it.each(networks)("do not grow: %s", (name) => {
    for (const kind of Object.keys(targets)) {
      expect(counts[name]![kind], kind).toBeLessThanOrEqual(stored[name]![kind]!);
    }
  });
});
