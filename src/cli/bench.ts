import { table } from "../report/table.js";
import { interleaved, type Spread } from "../report/timing.js";
import { formatRate } from "../report/units.js";
import { inference, trainingStep, type Workload } from "./bench/contestants.js";
import {
  type Command,
  countOption,
  sessionFlags,
  sessionOptions,
  textOptions,
  UsageError,
  writeJson,
} from "./command.js";
import { networkFlags, type OpenedNetwork, openNetwork } from "./network/open.js";

/** A workload and its times in milliseconds. */
interface Finding extends Pick<Workload, "work" | "device" | "operations"> {
  readonly model: string;
  readonly milliseconds: Spread;
  readonly imagesPerSecond: number;
}

const warmUps = 2;
/** Milliseconds between the calls of different sessions, whose threads spin for a while after a call. */
const rest = 100;

/** `fovea bench`: how fast networks run and train on this machine. */
export const bench: Command = {
  usage: "bench <...runs-or-models>",
  summary: "Measure inference and training steps of networks on this machine, all interleaved",
  options: [
    ["--batch <n>", "Images of a call (default 8)"],
    ["--rounds <n>", "Interleaved measurements of each (default 10)"],
    ["--work <kind>", "inference or training; both by default"],
    ...networkFlags,
    ...sessionFlags.map(([flags, meaning]) =>
      flags.startsWith("--device")
        ? ([flags, `${meaning}; may be repeated`] as const)
        : ([flags, meaning] as const),
    ),
  ],
  examples: [
    "fovea bench resnet18 mobilenet-v3-small --size 128 --batch 4",
    "fovea bench seresnet20 --attention cbam --device cpu --device webgpu --work training",
    "fovea bench runs/photos --json",
  ],
  async run({ args, options, json, output }) {
    const { device: _, ...others } = options;
    const batch = countOption(options, "batch", 8);
    const rounds = countOption(options, "rounds", 10);
    const kinds = workOption(textOptions(options, "work"));
    const named = textOptions(options, "device");
    const devices = named.length > 0 ? named : [undefined];
    const twice = args.find((name, index) => args.indexOf(name) !== index);
    if (twice !== undefined) throw new UsageError(`${twice} is named twice`);
    const opened: { network: OpenedNetwork; workload: Workload }[] = [];
    try {
      for (const name of args) {
        const network = await openNetwork(name, options);
        for (const device of devices) {
          const session = { ...sessionOptions(others), ...(device === undefined ? {} : { device }) };
          for (const kind of kinds) {
            const workload = await kind(network, { batch, session });
            opened.push({ network, workload });
            if (opened.filter((other) => other.workload.name === workload.name).length > 1) {
              throw new UsageError(
                `--device ${device} is ${workload.device} here, which is measured already`,
              );
            }
          }
        }
      }
      output.log(`measuring ${opened.length} workloads of ${batch} images, ${rounds} interleaved rounds`);
      const times = await interleaved(
        opened.map(({ workload }) => workload),
        { rounds, warmUps, rest },
      );
      const findings = opened.map(({ network, workload }): Finding => {
        const { work, device, operations, name } = workload;
        const milliseconds = times.get(name)!;
        return {
          model: network.title,
          work,
          device,
          operations,
          milliseconds,
          imagesPerSecond: (batch / milliseconds.median) * 1000,
        };
      });
      if (json) writeJson(output, { batch, rounds, findings });
      else output.result(findingsTable(findings));
      return 0;
    } finally {
      await Promise.all(opened.map(({ workload }) => workload.close()));
    }
  },
};

function workOption(kinds: readonly string[]) {
  const known = { inference, training: trainingStep } as const;
  const unknown = kinds.find((kind) => !Object.hasOwn(known, kind));
  if (unknown !== undefined) throw new UsageError(`--work is ${unknown}; it must be inference or training`);
  return (["inference", "training"] as const)
    .filter((kind) => kinds.length === 0 || kinds.includes(kind))
    .map((kind) => known[kind]);
}

function findingsTable(findings: readonly Finding[]): string {
  const ms = (value: number) => value.toFixed(value < 100 ? 2 : 1);
  return table(
    [
      "network",
      "work",
      "device",
      { header: "ms, median", align: "right" },
      { header: "least to most", align: "right" },
      "images/s",
      "rate",
    ],
    findings.map(
      ({ model, work, device, operations, milliseconds: { median, least, most }, imagesPerSecond }) => [
        model,
        work,
        device,
        ms(median),
        `${ms(least)} to ${ms(most)}`,
        imagesPerSecond.toFixed(1),
        formatRate((operations / median) * 1000, "FLOP/s"),
      ],
    ),
  );
}
