/**
 * `npm run bench`: how fast networks train and run beside PyTorch, TensorFlow.js and jax-js, and mechanisms beside what the machine
 * can do at most. Prints tables and writes a JSON file; docs/benchmarks.md explains both.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg, totalmem } from "node:os";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { FoveaError } from "../src/base/errors.js";
import { table } from "../src/report/table.js";
import { choosePeers, ours } from "./suite/contestants.js";
import { withFigures } from "./suite/docs.js";
import { Contest, measureBuild, measureMechanism, measureNetwork, reasonOf } from "./suite/measure.js";
import { type BenchOptions, help, readOptions } from "./suite/options.js";
import { circumstances, sectionsOf } from "./suite/report.js";
import { parseResult, type Result, type RowResult } from "./suite/result.js";
import { allRows, isKind, type Row, selectRows } from "./suite/rows.js";

const page = fileURLToPath(new URL("../docs/benchmarks.md", import.meta.url));

async function measureAll(options: BenchOptions): Promise<Result> {
  const { rounds, threads, quick } = options;
  const rows = selectRows(allRows({ quick }), options.rows);
  const peers = choosePeers(options);
  const measured = { rounds, threads, rest: quick ? 50 : 100 };
  const networks = new Contest(measured);
  const alone = new Contest(measured);
  const load = () => loadavg() as [number, number, number];
  const before = load();
  const results: RowResult[] = [];
  const failed: Result["failed"] = [];
  const ourProcess = rows.some((row) => !isKind(row, "network")) ? await alone.start(ours) : undefined;
  const measure = async (row: Row): Promise<RowResult> => {
    if (isKind(row, "network")) return measureNetwork(row, peers, networks);
    if (isKind(row, "mechanism")) return measureMechanism(row, ourProcess!, measured);
    return measureBuild(row, ourProcess!, measured);
  };
  try {
    for (const [index, row] of rows.entries()) {
      process.stderr.write(`${index + 1}/${rows.length} ${row.id}\n`);
      try {
        results.push(await measure(row));
      } catch (error) {
        failed.push({ id: row.id, reason: reasonOf(error) });
      }
    }
  } finally {
    await alone.close();
  }
  return {
    format: 1,
    date: new Date().toISOString(),
    machine: {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: cpus().length,
      memory: totalmem(),
      load: { before, after: load() },
    },
    threads,
    rounds,
    quick,
    versions: { ...alone.versions, ...networks.versions },
    rows: results,
    failed,
  };
}

async function write(to: string, result: Result): Promise<void> {
  const file = resolve(to);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(parseResult(result, "the result"), null, 1)}\n`);
  process.stderr.write(`written to ${file}\n`);
}

function print(result: Result): void {
  const tables = sectionsOf(result).map(({ title, columns, rows }) => `${title}\n${table(columns, rows)}`);
  process.stdout.write(`${[...tables, circumstances(result).join("\n")].join("\n\n")}\n`);
}

async function run(options: BenchOptions): Promise<number> {
  let result: Result;
  if (options.from === undefined) {
    result = await measureAll(options);
    if (options.to !== undefined) await write(options.to, result);
  } else {
    result = parseResult(JSON.parse(await readFile(options.from, "utf8")), options.from);
  }
  print(result);
  if (options.docs) await writeFile(page, withFigures(await readFile(page, "utf8"), result));
  const wrong = result.rows.some(
    (row) => row.kind === "network" && row.absent.some(({ disagrees }) => disagrees),
  );
  return wrong || result.failed.length > 0 ? 1 : 0;
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === "help") process.stdout.write(help);
  process.exitCode = options === "help" ? 0 : await run(options);
} catch (error) {
  if (!(error instanceof FoveaError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 2;
}
