import type { Graph } from "../graph/model.js";
import { concreteShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import type { Noise } from "./types.js";

/** The random inputs of a graph as a session draws them. */
export function noiseInputs(graph: Pick<Graph, "noise">, used: ReadonlySet<string>): Noise[] {
  return graph.noise
    .filter(({ stream }) => used.has(noiseName(stream)))
    .map(({ stream, distribution, tensor }) => ({
      name: noiseName(stream),
      shape: concreteShape(tensor.shape),
      distribution,
      stream,
    }));
}

/** Graph inputs of the random tensors, by name. */
export function namedNoise(graph: Graph): [string, Tensor][] {
  return graph.noise.map(({ stream, tensor }) => [noiseName(stream), tensor]);
}

function noiseName(stream: string): string {
  return `noise:${stream}`;
}
