import { type BarValue, barChart } from "../../report/bar-chart.js";
import { table } from "../../report/table.js";
import type { Spread } from "../../report/timing.js";
import { formatBytes, formatCount, formatPercent } from "../../report/units.js";
import type { Accuracy } from "./accuracy.js";
import type { Cost } from "./passes.js";

/** What was found of a contestant; times in milliseconds. */
export interface Finding {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly cost: Cost;
  readonly forward: Spread;
  readonly training: Spread;
  readonly accuracy?: Accuracy;
}

function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}

function spread({ median, least, most }: Spread): string {
  return `${milliseconds(median)} (${milliseconds(least)} to ${milliseconds(most)})`;
}

function accuracyText({ mean, least, most, bySeed }: Accuracy): string {
  const range = bySeed.length > 1 ? ` (${formatPercent(least)} to ${formatPercent(most)})` : "";
  return formatPercent(mean) + range;
}

/** The findings as a table for a terminal. */
export function findingsTable(findings: readonly Finding[]): string {
  const trained = findings.some(({ accuracy }) => accuracy);
  const right = (header: string) => ({ header, align: "right" as const });
  return table(
    [
      "mechanism",
      right("parameters"),
      right("macs"),
      right("kept"),
      right("forward ms"),
      right("and backward ms"),
      ...(trained ? [right("accuracy")] : []),
    ],
    findings.map(({ name, cost, forward, training, accuracy }) => [
      name,
      formatCount(cost.parameters),
      formatCount(cost.macs),
      formatBytes(cost.activations.kept),
      spread(forward),
      spread(training),
      ...(trained ? [accuracy ? accuracyText(accuracy) : ""] : []),
    ]),
  );
}

/** The findings as an SVG document. */
export function findingsChart(findings: readonly Finding[], subtitle: string): string {
  const timed = ({ median, least, most }: Spread): BarValue => ({ value: median, range: [least, most] });
  const each = (value: (finding: Finding) => number) =>
    findings.map((finding): BarValue => ({ value: value(finding) }));
  const ms = (value: number) => `${milliseconds(value)} ms`;
  const trained = findings.some(({ accuracy }) => accuracy);
  return barChart({
    title: "Attention mechanisms compared",
    subtitle,
    rows: findings.map(({ name }) => name),
    panels: [
      { title: "Parameters", values: each(({ cost }) => cost.parameters), format: formatCount },
      { title: "Multiply-accumulates", values: each(({ cost }) => cost.macs), format: formatCount },
      { title: "Activations kept", values: each(({ cost }) => cost.activations.kept), format: formatBytes },
      { title: "Forward", values: findings.map(({ forward }) => timed(forward)), format: ms },
      { title: "Forward and backward", values: findings.map(({ training }) => timed(training)), format: ms },
      ...(trained
        ? [
            {
              title: "Test error",
              values: findings.map(({ accuracy }): BarValue | null =>
                accuracy
                  ? { value: 1 - accuracy.mean, range: [1 - accuracy.most, 1 - accuracy.least] }
                  : null,
              ),
              format: (value: number) => formatPercent(value),
            },
          ]
        : []),
    ],
  });
}
