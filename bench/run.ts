/**
 * `npm run bench`: how long it takes to build a training step, and how fast training and inference run, against the rate of a matrix
 * product measured in the same run. Prints a table and writes bench/results/latest.json.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, loadavg, totalmem } from "node:os";
import { version } from "../src/base/version.js";
import { table } from "../src/report/table.js";
import { interleaved, type Spread, spreadOf } from "../src/report/timing.js";
import { formatBytes, formatPercent } from "../src/report/units.js";
import { nodeRuntime } from "../src/runtime/node.js";
import { provideRuntime } from "../src/runtime/provider.js";
import {
  type BuildTimes,
  buildTimes,
  inference,
  matrixProduct,
  type Network,
  trainingStep,
  type Workload,
} from "./workloads.js";

const rounds = 9;
const warmUps = 3;
const buildRounds = 7;
/** Milliseconds between the calls of different sessions. */
const rest = 100;

const seResNet20: Network = {
  name: "SE-ResNet-20 32x32, batch 64",
  model: "seresnet20",
  shape: [64, 3, 32, 32],
};
const mnist: Network = { name: "SE-ResNet-8 28x28, batch 128", model: "seresnet8", shape: [128, 1, 28, 28] };
const seResNet50: Network = {
  name: "SE-ResNet-50 224x224, batch 1",
  model: "seresnet50",
  shape: [1, 3, 224, 224],
};
const seResNet50Training: Network = {
  name: "SE-ResNet-50 224x224, batch 8",
  model: "seresnet50",
  shape: [8, 3, 224, 224],
};

provideRuntime(nodeRuntime);
process.stderr.write(`measuring, ${rounds} interleaved rounds ...\n`);
const builds = await measureBuilds([mnist, seResNet20, seResNet50Training]);
const speeds = await measureSpeeds();

const ms = (value: number) => value.toFixed(value < 10 ? 2 : 1);
const spread = ({ median, least, most }: Spread) => `${ms(median)} (${ms(least)} to ${ms(most)})`;
process.stdout.write(`Building a training step, ms, median (least to most) of ${buildRounds}\n`);
process.stdout.write(
  `${table(
    ["network", "trace", "gradient", "emission", "trace to bytes", "session", "nodes"].map((header) => ({
      header,
    })),
    builds.map((row) => [
      row.name,
      spread(row.trace),
      spread(row.gradient),
      spread(row.emission),
      spread(row.total),
      spread(row.session),
      String(row.nodes),
    ]),
  )}\n\n`,
);
process.stdout.write("Speed, ms a call; share of the rate of the matrix product in the same run\n");
process.stdout.write(
  `${table(
    ["work", "ms", "images/s", "GFLOP/s", "share"].map((header) => ({ header })),
    speeds.map((row) => [
      row.name,
      spread(row.milliseconds),
      row.imagesPerSecond.toFixed(1),
      row.gigaflops.toFixed(1),
      formatPercent(row.share, 1),
    ]),
  )}\n`,
);

const folder = new URL("./results/", import.meta.url);
await mkdir(folder, { recursive: true });
const info = await nodeRuntime().info({ devices: false });
const result = {
  date: new Date().toISOString(),
  fovea: version,
  node: process.version,
  onnxruntime: info.version,
  machine: { cpu: cpus()[0]?.model, cores: cpus().length, memory: formatBytes(totalmem()), load: loadavg() },
  threads: info.threads,
  rounds,
  builds,
  speeds,
};
await writeFile(new URL("latest.json", folder), `${JSON.stringify(result, null, 2)}\n`);

async function measureBuilds(networks: readonly Network[]) {
  const samples = new Map<Network, BuildTimes[]>(networks.map((network) => [network, []]));
  // One round to warm up, which is not counted.
  for (let round = -1; round < buildRounds; round++) {
    for (const network of networks) {
      const times = await buildTimes(network);
      if (round >= 0) samples.get(network)!.push(times);
    }
  }
  return networks.map((network) => {
    const times = samples.get(network)!;
    return {
      name: network.name,
      trace: spreadOf(times.map(({ trace }) => trace)),
      gradient: spreadOf(times.map(({ gradient }) => gradient)),
      emission: spreadOf(times.map(({ emission }) => emission)),
      total: spreadOf(times.map(({ trace, gradient, emission }) => trace + gradient + emission)),
      session: spreadOf(times.map(({ session }) => session)),
      nodes: times[0]!.nodes,
    };
  });
}

async function measureSpeeds() {
  const workloads: Workload[] = [
    await matrixProduct(),
    await trainingStep(seResNet20),
    await inference(seResNet20),
    await trainingStep(mnist),
    await inference(mnist),
    await inference(seResNet50),
  ];
  const times = await interleaved(workloads, { rounds, warmUps, rest });
  const rows = workloads.map(({ name, operations, images }) => {
    const milliseconds = times.get(name)!;
    const seconds = milliseconds.median / 1000;
    return { name, milliseconds, imagesPerSecond: images / seconds, gigaflops: operations / seconds / 1e9 };
  });
  for (const workload of workloads) await workload.close();
  const rate = rows[0]!.gigaflops;
  return rows.map((row) => ({ ...row, share: row.gigaflops / rate }));
}
