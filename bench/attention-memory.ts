/**
 * Memory and time of attention over all positions. Each figure of memory is the peak resident set that one process needs for one form
 * beyond what it had before the model was loaded; times are ratios of runs that are interleaved in one process.
 *
 *   node --import ./scripts/typescript.mjs bench/attention-memory.ts
 *
 * Arguments name the parts to measure; all by default: positions, a2, blocks, training, queries.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { table } from "../src/report/table.js";
import { costsOfBlocks } from "./attention/blocks.js";
import { type Form, formNames, measured, timed } from "./attention/forms.js";
import { queryDependence } from "./attention/query-dependence.js";
import { blocks, workloads } from "./attention/workloads.js";

const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(bytes < 10 * 2 ** 20 ? 1 : 0);

/** Peak memory and time of a workload in a process of its own. */
function inOwnProcess(workload: string, form: Form): { peak: number; milliseconds: number } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--import", "./scripts/typescript.mjs", fileURLToPath(import.meta.url), "measure", workload, form],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`${workload}, ${form}: ${stderr}`);
  return JSON.parse(stdout) as { peak: number; milliseconds: number };
}

function print(title: string, columns: readonly string[], rows: readonly (readonly string[])[]): void {
  process.stdout.write(
    `${title}\n${table(
      columns.map((header) => ({ header })),
      rows,
    )}\n\n`,
  );
}

const parts: Record<string, () => Promise<void>> = {
  async positions() {
    const rows: string[][] = [];
    for (const side of [32, 64, 96, 128]) {
      const name = `non-local ${side}`;
      const peaks = formNames.map((form) => inOwnProcess(name, form).peak);
      const times = side <= 64 ? await timed(workloads[name]!) : undefined;
      rows.push([
        `${side}x${side}`,
        ...peaks.map(megabytes),
        ...["fused", "portable"].map((form) => times?.[form as Form].toFixed(2) ?? ""),
      ]);
    }
    const columns = ["positions", ...formNames.map((form) => `${form} MiB`), "fused time", "portable time"];
    print("Non-local block, 64 channels, inference; time as a multiple of the plain form's", columns, rows);
  },
  async a2() {
    const rows = ["gather-first", "attention-first"].map((order) => [
      order,
      ...(["plain", "fused"] as const).map((form) => megabytes(inOwnProcess(`a2 ${order}`, form).peak)),
    ]);
    print("Double attention, 32 frames of 28x28, 64 channels, MiB", ["order", "as written", "as run"], rows);
  },
  async blocks() {
    const { columns, rows } = costsOfBlocks();
    print("Blocks over 97x97 positions, 512 channels: counted", columns, rows);
    const peak = (name: string, form: Form) => megabytes(inOwnProcess(`${name} 97`, form).peak);
    const plain = ["non-local", "position"];
    const measuredRows = Object.keys(blocks).map((name) => [
      name,
      plain.includes(name) ? peak(name, "plain") : "",
      peak(name, "fused"),
    ]);
    print("The same, measured, inference, MiB", ["block", "with its map", "as run"], measuredRows);
  },
  async training() {
    const rows = ["kept", "checkpointed"].map((kind) => {
      const { peak, milliseconds } = inOwnProcess(`training ${kind}`, "plain");
      return [kind, megabytes(peak), milliseconds.toFixed(0)];
    });
    print("Gradients of 8 residual blocks, 32 channels, 16x56x56", ["intermediates", "MiB", "ms"], rows);
  },
  async queries() {
    const { columns, rows } = await queryDependence();
    print("Distance of a non-local block's maps between queries, digits", columns, rows);
  },
};

const [first, ...rest] = process.argv.slice(2);
if (first === "measure") {
  const [workload, form] = rest as [string, Form];
  process.stdout.write(JSON.stringify(await measured(workloads[workload]!, form)));
} else {
  for (const name of first === undefined ? Object.keys(parts) : [first, ...rest]) {
    const part = parts[name];
    if (!part) throw new Error(`part ${name} is unknown; known are ${Object.keys(parts).join(", ")}`);
    await part();
  }
}
process.exit(0);
