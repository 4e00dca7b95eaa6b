import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Target } from "../../src/graph/emitter.js";
import { initialize } from "../../src/graph/model.js";
import { createModel, models } from "../../src/models/registry.js";
import { crossEntropy } from "../../src/train/losses.js";
import { supervised } from "../../src/train/objective.js";
import { sgd } from "../../src/train/optimizers.js";
import { buildTrainingStep } from "../../src/train/training-step.js";

/**
 * Creating a session takes time in proportion to the nodes of its model, so the training step of every network of the registry has a
 * count that it must not exceed. After a change that is worth more nodes, or that saves some, write the counts anew:
 *
 *   FOVEA_NODE_COUNTS=write npx vitest run tests/train/node-counts.test.ts
 */
const file = new URL("node-counts.json", import.meta.url);

const targets: Readonly<Record<string, Target>> = {
  plain: { kind: "cpu", opset: 21 },
  blocked: { kind: "cpu", opset: 21, channelBlock: 16 },
};

type Counts = Record<string, Record<string, number>>;

function countNodes(name: string, imageSize: number): Record<string, number> {
  const count = (target: Target) => {
    const model = createModel(name);
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
  const counts: Counts = Object.fromEntries(
    models().map(({ name, imageSize }) => [name, countNodes(name, imageSize)]),
  );
  if (process.env.FOVEA_NODE_COUNTS === "write") writeFileSync(file, `${JSON.stringify(counts, null, 2)}\n`);
  const stored = JSON.parse(readFileSync(file, "utf8")) as Counts;

  it("are stored for every network", () => {
    expect(Object.keys(stored)).toEqual(Object.keys(counts));
  });

  it.each(Object.keys(counts))("do not grow: %s", (name) => {
    for (const kind of Object.keys(targets)) {
      expect(counts[name]![kind], kind).toBeLessThanOrEqual(stored[name]![kind]!);
    }
  });
});
