import type { Entry, NetworkResult, Result } from "../../bench/suite/result.js";

const flat = (median: number) => ({ median, least: median / 2, most: 2 * median });

function entry(contestant: string, median: number, ratio: number, added: number): Entry {
  return {
    contestant,
    milliseconds: flat(median),
    ratio,
    first: 3 * median,
    difference: 1e-6,
    memory: { peak: added + 1000, added },
  };
}

function network(
  pass: NetworkResult["pass"],
  name: string,
  ratio: number,
  absent: NetworkResult["absent"] = [],
): NetworkResult {
  return {
    kind: "network",
    id: `${pass}/${name}/32/2`,
    title: name,
    pass,
    batch: 2,
    operations: 1e9,
    nodes: 10,
    share: 0.5,
    entries: [entry("fovea", 10, 1, 2 ** 20), entry("PyTorch", 10 / ratio, ratio, 2 ** 21)],
    absent,
  };
}

/** A result with rows of every kind. */
export const exampleResult: Result = {
  format: 1,
  date: "2026-01-02T03:04:05.000Z",
  machine: {
    cpu: "a processor",
    cores: 2,
    memory: 2 ** 34,
    load: { before: [0.1, 0.2, 0.3], after: [1.1, 0.2, 0.3] },
  },
  threads: 2,
  rounds: 9,
  quick: false,
  versions: { fovea: { fovea: "1.2.3", node: "v20" }, PyTorch: { torch: "2.0" } },
  rows: [
    network("training", "a", 0.5),
    network("training", "b", 2, [{ contestant: "jax-js", reason: "not installed", disagrees: false }]),
    network("inference", "a", 0.25, [{ contestant: "jax-js", reason: "not installed", disagrees: false }]),
    {
      kind: "mechanism",
      id: "mechanism/se/forward",
      title: "se",
      pass: "forward",
      input: "x [8, 256, 28, 28]",
      milliseconds: flat(0.5),
      operations: 1e6,
      bytes: 1e7,
      roofline: 0.4,
      bound: "bytes",
      ratio: 1.25,
    },
    {
      kind: "build",
      id: "build/se-resnet-50/224/8",
      title: "SE-ResNet-50",
      milliseconds: flat(1500),
      parts: { trace: flat(100), session: flat(1400) },
      nodes: 4000,
    },
  ],
  failed: [{ id: "mechanism/detr-loss/forward", reason: "it asks the host" }],
};
