import { trace } from "../../src/graph/model.js";
import { activationMemory } from "../../src/report/activation-memory.js";
import { graphCost } from "../../src/report/cost.js";
import { blockInputs, blocks } from "./workloads.js";

/** Multiply-accumulates and intermediates of each block over 97 x 97 positions of 512 channels, counted from its graph. */
export function costsOfBlocks(): { columns: string[]; rows: string[][] } {
  const counted = Object.entries(blocks).map(([name, build]) => {
    const graph = trace(build(), blockInputs(name, [1, 512, 97, 97]));
    const outputs = [...graph.outputs.values()];
    return { name, macs: graphCost(outputs).macs, bytes: activationMemory(outputs, []).forward };
  });
  const { macs, bytes } = counted.find(({ name }) => name === "position")!;
  return {
    columns: ["block", "10^9 MACs", "of position", "intermediates MiB", "of position"],
    rows: counted.map((block) => [
      block.name,
      (block.macs / 1e9).toFixed(2),
      `${((100 * block.macs) / macs).toFixed(1)} %`,
      (block.bytes / 2 ** 20).toFixed(0),
      `${((100 * block.bytes) / bytes).toFixed(1)} %`,
    ]),
  };
}
