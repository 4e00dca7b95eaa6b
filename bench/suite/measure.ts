import { readFile } from "node:fs/promises";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { type Spread, spreadOf } from "../../src/report/timing.js";
import { type Agreement, compareFindings, type Finding } from "./agreement.js";
import { ContestantProcess } from "./contestant-process.js";
import { type ContestantChoice, ours } from "./contestants.js";
import { type NetworkFiles, writeNetworkFiles } from "./network-files.js";
import { optimizer } from "./optimizer.js";
import type { Greeting, Prepared, Run, WorkFiles } from "./protocol.js";
import type { BuildResult, Entry, MechanismResult, NetworkResult } from "./result.js";
import { roofline } from "./roofline.js";
import type { RowOf } from "./rows.js";
import type { BuildWork, MechanismWork, NetworkWork, Work } from "./work.js";

/** How rows are measured. */
export interface MeasureOptions {
  readonly rounds: number;
  readonly threads: number;
  /** Milliseconds between the turns: the threads of the contestant before spin for a while. */
  readonly rest: number;
}

const warmUps = 2;
/** Calls that take longer are not preceded by one that is not counted: to them it makes no difference. */
const longMilliseconds = 3000;
/** Shorter work is done several times in a turn, so that waking the process and its threads does not count. */
const turnMilliseconds = 100;
const mostCalls = 1000;

interface Turn {
  readonly process: ContestantProcess;
  readonly id: number;
}

/** Runs of each over interleaved rounds (A B C A B C ...), so that a disturbance of the machine meets all of them. */
async function interleave(turns: readonly Turn[], { rounds, rest }: MeasureOptions): Promise<Run[][]> {
  const runs: Run[][] = turns.map(() => []);
  // Of one call, as the latest has it.
  const milliseconds = turns.map(() => 0);
  for (let round = 0; round < warmUps; round++) {
    for (const [index, { process, id }] of turns.entries()) {
      if (milliseconds[index]! <= longMilliseconds) {
        milliseconds[index] = (await process.run(id)).milliseconds;
      }
    }
  }
  for (let round = 0; round < rounds; round++) {
    for (const [index, { process, id }] of turns.entries()) {
      await new Promise((resolve) => setTimeout(resolve, rest));
      if (milliseconds[index]! <= longMilliseconds) await process.run(id);
      const calls = Math.ceil(turnMilliseconds / milliseconds[index]!);
      runs[index]!.push(await process.run(id, Math.min(Math.max(calls, 1), mostCalls)));
    }
  }
  return runs;
}

function timesOf(runs: readonly Run[]): Spread {
  return spreadOf(runs.map(({ milliseconds }) => milliseconds));
}

const productWork = { kind: "reference", measure: "product", elements: 1024 * 1024 } as const;

let lastId = 0;

/** Work that a process is ready for. */
async function prepared(
  process: ContestantProcess,
  work: Work,
  { threads }: MeasureOptions,
  files?: WorkFiles,
): Promise<Turn & { readonly prepared: Prepared }> {
  const id = ++lastId;
  const request = { id, work, threads, optimizer, ...(files ? { files } : {}) };
  return { id, process, prepared: await process.prepare(request) };
}

/** A contestant's numbers are not ours. */
class Disagreement extends Error {}

/** A contestant in a row. */
interface Participant extends Turn {
  readonly choice: ContestantChoice;
  readonly prepared: Prepared;
  readonly agreement: Agreement;
  /** Bytes that the process held before. */
  readonly before: number | undefined;
}

/** Starts contestants, and ends all of them. */
export class Contest {
  readonly options: MeasureOptions;
  /** By contestant, of those that have been started. */
  readonly versions: Record<string, Greeting["versions"]> = {};
  readonly #processes: ContestantProcess[] = [];

  constructor(options: MeasureOptions) {
    this.options = options;
  }

  async start({ name, command }: ContestantChoice): Promise<ContestantProcess> {
    const process = await ContestantProcess.start(command);
    this.#processes.push(process);
    this.versions[name] = process.versions;
    return process;
  }

  async close(): Promise<void> {
    await Promise.all(this.#processes.splice(0).map((process) => process.close()));
  }
}

/**
 * A network's row, every contestant in a process of its own. Those that cannot do it, and those whose numbers are not ours, are named
 * as absent.
 */
export async function measureNetwork(
  row: RowOf<NetworkWork>,
  peers: readonly ContestantChoice[],
  contest: Contest,
): Promise<NetworkResult> {
  const { options } = contest;
  const { work, id, title } = row;
  const files = await writeNetworkFiles(work);
  try {
    const first = await participate(ours, { row, files, contest });
    const participants = [first];
    const absent: NetworkResult["absent"] = [];
    for (const choice of peers) {
      try {
        participants.push(await participate(choice, { row, files, contest, reference: first.finding }));
      } catch (error) {
        const disagrees = error instanceof Disagreement;
        absent.push({ contestant: choice.name, reason: reasonOf(error), disagrees });
      }
    }
    // In a process of its own, so that ours holds nothing but the network.
    const product = await prepared(await contest.start(ours), productWork, options);
    const [productRuns, ...runs] = await interleave([product, ...participants], options);
    const spreads = runs.map(timesOf);
    const median = spreads[0]!.median;
    const entries = await Promise.all(
      participants.map((participant, index) => entryOf(participant, spreads[index]!, median)),
    );
    const { operations = 0, nodes = 0 } = first.prepared;
    const rate = product.prepared.operations! / timesOf(productRuns!).median;
    const share = operations / median / rate;
    const { pass, shape } = work;
    return { kind: "network", id, title, pass, batch: shape[0], operations, nodes, share, entries, absent };
  } finally {
    await contest.close();
    await files.remove();
  }
}

async function participate(
  choice: ContestantChoice,
  request: {
    readonly row: RowOf<NetworkWork>;
    readonly files: NetworkFiles;
    readonly contest: Contest;
    /** Our numbers, where these are not ours. */
    readonly reference?: Finding;
  },
): Promise<Participant & { readonly finding: Finding }> {
  const { row, contest, reference } = request;
  const { work } = row;
  const refusal = choice.refuses?.(row);
  if (refusal !== undefined) throw new Error(refusal);
  const process = await contest.start(choice);
  const before = choice.elsewhere ? undefined : (await process.memory())?.now;
  const files = request.files.filesFor(choice.name);
  const turn = await prepared(process, work, contest.options, files);
  const finding = await findingOf(turn.prepared, work, files);
  const agreement = compareFindings(finding, reference ?? finding);
  if (agreement.problem !== undefined) throw new Disagreement(agreement.problem);
  return { ...turn, choice, agreement, before, finding };
}

async function findingOf(
  { loss, gradientNorm }: Prepared,
  { pass }: NetworkWork,
  { results }: WorkFiles,
): Promise<Finding> {
  if (pass === "training") {
    return {
      ...(loss === undefined ? {} : { loss }),
      ...(gradientNorm === undefined ? {} : { gradientNorm }),
    };
  }
  const output = readSafetensors(await readFile(results), { source: results }).tensors.get("y");
  return output ? { output: toHostTensor(output, "y").data as Float32Array } : {};
}

async function entryOf(
  { choice, prepared: { first }, agreement, process, before }: Participant,
  milliseconds: Spread,
  ourMedian: number,
): Promise<Entry> {
  const memory = await process.memory();
  return {
    contestant: choice.name,
    milliseconds,
    ratio: ourMedian / milliseconds.median,
    first,
    difference: agreement.difference,
    ...(memory && before !== undefined ? { memory: { peak: memory.peak, added: memory.peak - before } } : {}),
  };
}

/** A mechanism's row, with what the machine can do measured in the same rounds. @param process ours */
export async function measureMechanism(
  { work, id, title }: RowOf<MechanismWork>,
  process: ContestantProcess,
  options: MeasureOptions,
): Promise<MechanismResult> {
  const [batch, channels, height, width] = work.image;
  const copyWork = {
    kind: "reference",
    measure: "copy",
    elements: batch * channels * height * width,
  } as const;
  const turns: (Turn & { readonly prepared: Prepared })[] = [];
  try {
    for (const each of [work, productWork, copyWork]) turns.push(await prepared(process, each, options));
    const [runs, productRuns, copyRuns] = await interleave(turns, options);
    const [mechanism, product, copy] = turns.map((turn) => turn.prepared);
    const milliseconds = timesOf(runs!);
    const { operations = 0, bytes = 0, input = "" } = mechanism!;
    const limit = roofline(
      { operations, bytes },
      {
        operations: product!.operations! / timesOf(productRuns!).median,
        bytes: copy!.bytes! / timesOf(copyRuns!).median,
      },
    );
    const ratio = milliseconds.median / limit.roofline;
    return {
      kind: "mechanism",
      id,
      title,
      pass: work.pass,
      input,
      milliseconds,
      operations,
      bytes,
      ...limit,
      ratio,
    };
  } finally {
    for (const turn of turns) await process.forget(turn.id);
  }
}

/** How long a training step takes to build, stage by stage. @param process ours */
export async function measureBuild(
  { work, id, title }: RowOf<BuildWork>,
  process: ContestantProcess,
  options: MeasureOptions,
): Promise<BuildResult> {
  const turn = await prepared(process, work, options);
  const [runs = []] = await interleave([turn], options);
  await process.forget(turn.id);
  const names = Object.keys(runs[0]?.parts ?? {});
  const parts = names.map((name) => [name, spreadOf(runs.map(({ parts }) => parts![name]!))] as const);
  const { nodes = 0 } = turn.prepared;
  return { kind: "build", id, title, milliseconds: timesOf(runs), parts: Object.fromEntries(parts), nodes };
}

/** What an error says, in a line. */
export function reasonOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, "; ");
}
