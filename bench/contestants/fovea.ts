import { readFile, writeFile } from "node:fs/promises";
import type { HostTensor } from "../../src/base/dtype.js";
import { version } from "../../src/base/version.js";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.js";
import type { Model } from "../../src/graph/model.js";
import { loadCheckpoint } from "../../src/models/checkpoint-load.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { checkpointBlocks } from "../suite/checkpoint-blocks.js";
import { networks } from "../suite/networks.js";
import type { WorkFiles } from "../suite/protocol.js";
import { prepareBuild } from "./build.js";
import { prepareMechanism, prepareReference } from "./mechanism.js";
import { prepareNetwork } from "./network.js";
import type { Contestant, PrepareRequest, ReadyWork } from "./serve.js";

/** fovea on the CPU. @param checkpoint with blocks that are computed again in the backward pass */
async function contestant(checkpoint: boolean): Promise<Contestant> {
  const { version: onnxruntime = "none" } = await defaultRuntime().info({ devices: false });
  return {
    versions: { fovea: version, "onnxruntime-node": onnxruntime, node: process.version },
    prepare: (request) => prepare(request, checkpoint),
    close: async () => undefined,
  };
}

export const fovea = () => contestant(false);
export const foveaCheckpointed = () => contestant(true);

async function prepare({ work, threads, files }: PrepareRequest, checkpoint: boolean): Promise<ReadyWork> {
  switch (work.kind) {
    case "mechanism":
      return prepareMechanism(work, threads);
    case "reference":
      return prepareReference(work, threads);
    case "build":
      return prepareBuild(work, threads);
    case "network": {
      const model = networks[work.network].build();
      if (checkpoint) checkpointBlocks(model);
      await loadWeights(model, files!.weights);
      // Reading the weights is not measured, so what it leaves behind does not count as memory of the work.
      globalThis.gc?.();
      const { output, ...ready } = await prepareNetwork(model, work, { device: "cpu", threads });
      await writeResult(files!, output);
      return ready;
    }
  }
}

async function loadWeights(model: Model, file: string): Promise<void> {
  const { tensors } = readSafetensors(await readFile(file));
  loadCheckpoint(model, tensors, { names: "torch" });
}

/** Writes the output of a forward pass. */
export async function writeResult(files: WorkFiles, output: HostTensor | undefined): Promise<void> {
  if (output) await writeFile(files.results, writeSafetensors([["y", output]]));
}
