import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSafetensors } from "../../src/formats/safetensors.js";
import { initialize } from "../../src/graph/model.js";
import { saveWeights } from "../../src/models/checkpoint-save.js";
import { networkInputs } from "./network-inputs.js";
import { networks } from "./networks.js";
import type { WorkFiles } from "./protocol.js";
import type { NetworkWork } from "./work.js";

/** Layouts that the networks of bench/pytorch have where theirs are not timm's. */
const references = ["milesial/Pytorch-UNet", "pytorch/pytorch"];

/** The files of a row, in a folder of their own. */
export interface NetworkFiles {
  /** @param contestant whose results have a file of their own */
  filesFor(contestant: string): WorkFiles;
  remove(): Promise<void>;
}

/** Writes weights and inputs of a network for the contestants. */
export async function writeNetworkFiles(work: NetworkWork): Promise<NetworkFiles> {
  const folder = await mkdtemp(join(tmpdir(), "fovea-bench-"));
  const model = networks[work.network].build();
  initialize(model);
  const weights = join(folder, "weights.safetensors");
  const inputs = join(folder, "inputs.safetensors");
  await writeFile(weights, saveWeights(model, { names: "torch", references }));
  await writeFile(inputs, writeSafetensors(Object.entries(networkInputs(work))));
  return {
    filesFor: (contestant) => ({
      weights,
      inputs,
      results: join(folder, `${contestant.replaceAll(/\W+/g, "-")}.safetensors`),
    }),
    remove: () => rm(folder, { recursive: true }),
  };
}
