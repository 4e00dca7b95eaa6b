import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { env, InferenceSession, Tensor } from "onnxruntime-node";
import { networkInputs } from "../suite/network-inputs.js";
import { writeResult } from "./fovea.js";
import type { Contestant } from "./serve.js";

const script = fileURLToPath(new URL("../pytorch/export.py", import.meta.url));

/**
 * What PyTorch's own exporter makes of the same network, on ONNX Runtime with the settings that it has by default.
 * @param python a Python with torch
 */
export async function pytorchExport(python: string): Promise<Contestant> {
  return {
    versions: { "onnxruntime-node": env.versions.node ?? env.versions.common },
    prepare: async ({ work, threads, files }) => {
      if (work.kind !== "network" || work.pass !== "inference") throw new Error("only inference is exported");
      const { weights, inputs, results } = files!;
      const model = results.replace(/\.safetensors$/, ".onnx");
      await promisify(execFile)(python, [script, work.network, weights, inputs, model]).catch(
        (error: { stderr?: string; message: string }) => {
          throw new Error(error.stderr?.trim().split("\n").at(-1) ?? error.message);
        },
      );
      const bytes = await readFile(model);
      const { x } = networkInputs(work);
      const start = performance.now();
      const session = await InferenceSession.create(bytes, { intraOpNumThreads: threads });
      const feeds = { x: new Tensor("float32", x.data as Float32Array, x.shape) };
      const name = session.outputNames[0]!;
      const first = (await session.run(feeds))[name]!;
      const milliseconds = performance.now() - start;
      const data = first.data as Float32Array;
      await writeResult(files!, { dtype: "float32", shape: first.dims, data });
      return {
        first: milliseconds,
        run: async () => {
          await session.run(feeds);
          return undefined;
        },
        close: () => session.release(),
      };
    },
    close: async () => undefined,
  };
}
