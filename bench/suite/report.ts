import type { Cell, Column } from "../../src/report/table.js";
import type { Spread } from "../../src/report/timing.js";
import { formatBytes, formatPercent } from "../../src/report/units.js";
import type { BuildResult, MechanismResult, NetworkResult, Result } from "./result.js";
import { isMet, targetsOf } from "./targets.js";

/** A table of results. */
export interface Section {
  readonly title: string;
  readonly columns: readonly (string | Column)[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Everything that a result says, as tables; those without rows are left out. */
export function sectionsOf(result: Result): Section[] {
  const networks = (pass: NetworkResult["pass"]) =>
    result.rows.filter((row): row is NetworkResult => row.kind === "network" && row.pass === pass);
  const sections = [
    networkSection("Training steps", networks("training")),
    networkSection("Inference", networks("inference")),
    mechanismSection(result.rows.filter((row): row is MechanismResult => row.kind === "mechanism")),
    buildSection(result.rows.filter((row): row is BuildResult => row.kind === "build")),
    targetSection(result),
    absenceSection(result),
  ];
  return sections.filter(({ rows }) => rows.length > 0);
}

/** Where, when and with what a result was measured, in a sentence each. */
export function circumstances({ date, machine, threads, rounds, versions, quick }: Result): string[] {
  const load = (values: readonly number[]) => values.map((value) => value.toFixed(2)).join(", ");
  const all = new Map(Object.values(versions).flatMap((of) => Object.entries(of)));
  return [
    `Measured ${date.slice(0, 10)} on ${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memory)} of memory; load averages ${load(machine.load.before)} before and ${load(machine.load.after)} after.`,
    `${threads} threads a contestant, ${rounds} interleaved rounds; ${[...all].map(([name, version]) => `${name} ${version}`).join(", ")}.`,
    ...(quick ? ["A quick run: small batches, whose figures say nothing."] : []),
  ];
}

const right = (header: string): Column => ({ header, align: "right" });

function ms(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

function cells({ median, least, most }: Spread): [string, string] {
  return [ms(median), `${ms(least)} to ${ms(most)}`];
}

const spreadColumns = [right("ms"), right("least to most")];

function networkSection(title: string, rows: readonly NetworkResult[]): Section {
  return {
    title,
    columns: [
      "network",
      "contestant",
      ...spreadColumns,
      right("fovea / it"),
      right("GFLOP/s"),
      right("of the product's"),
      right("first, ms"),
      right("memory"),
    ],
    rows: rows.flatMap(({ title: network, operations, entries, share }) =>
      entries.map(({ contestant, milliseconds, ratio, first, memory }, index) => [
        index === 0 ? network : "",
        contestant,
        ...cells(milliseconds),
        index === 0 ? "" : ratio.toFixed(ratio < 0.1 ? 3 : 2),
        (operations / milliseconds.median / 1e6).toFixed(1),
        formatPercent(share * ratio, 0),
        ms(first),
        memory ? formatBytes(memory.added) : "",
      ]),
    ),
  };
}

function mechanismSection(rows: readonly MechanismResult[]): Section {
  return {
    title: "Mechanisms",
    columns: [
      "mechanism",
      "input",
      "pass",
      ...spreadColumns,
      right("roofline, ms"),
      "bound by",
      right("times the roofline"),
    ],
    rows: rows.map(({ title, input, pass, milliseconds, roofline, bound, ratio }) => [
      title,
      input,
      pass === "forward" ? "forward" : "forward and backward",
      ...cells(milliseconds),
      roofline.toFixed(3),
      bound,
      ratio.toFixed(2),
    ]),
  };
}

function buildSection(rows: readonly BuildResult[]): Section {
  const names = Object.keys(rows[0]?.parts ?? {});
  return {
    title: "Building a training step, ms",
    columns: ["network", ...names.map(right), right("in all"), right("least to most"), right("nodes")],
    rows: rows.map(({ title, parts, milliseconds, nodes }) => [
      title,
      ...names.map((name) => ms(parts[name]!.median)),
      ...cells(milliseconds),
      nodes,
    ]),
  };
}

function targetSection(result: Result): Section {
  const reached = targetsOf(result).filter(({ value }) => value !== undefined);
  return {
    title: "Targets",
    columns: ["target", right("reached"), right("wanted"), right("rows"), "met"],
    rows: reached.map((target) => [
      target.name,
      target.value!.toFixed(target.value! < 0.1 ? 3 : 2),
      `${target.atLeast ? "at least" : "at most"} ${target.limit}`,
      target.rows,
      isMet(target) ? "yes" : "no",
    ]),
  };
}

/** Who is missing where; what is said of several rows is said once. */
function absenceSection({ rows, failed }: Result): Section {
  const found = new Map<string, { who: string; reason: string; where: string[] }>();
  const add = (who: string, reason: string, where: string) => {
    const known = found.get(`${who}\n${reason}`);
    if (known) known.where.push(where);
    else found.set(`${who}\n${reason}`, { who, reason, where: [where] });
  };
  for (const row of rows) {
    if (row.kind !== "network") continue;
    for (const { contestant, reason } of row.absent) add(contestant, reason, row.id);
  }
  for (const { id, reason } of failed) add("all", reason, id);
  return {
    title: "Not measured",
    columns: ["contestant", "rows", "reason"],
    rows: [...found.values()].map(({ who, reason, where }) => [
      who,
      where.length > 3 ? `${where[0]} and ${where.length - 1} more` : where.join(", "),
      reason,
    ]),
  };
}
