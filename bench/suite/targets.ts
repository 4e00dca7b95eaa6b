import { checkpointing, onCallingThread, ours } from "./contestants.js";
import type { Entry, NetworkResult, Result, RowResult } from "./result.js";
import { geometricMean, medianOf } from "./statistics.js";

/** A target with what was reached. */
export interface Target {
  readonly name: string;
  /** Undefined where the run has no row that tells. */
  readonly value: number | undefined;
  readonly limit: number;
  /** Whether the limit is the least value that will do, not the largest. */
  readonly atLeast?: boolean;
  /** Of how many rows. */
  readonly rows: number;
}

/** Whether a target is met; undefined where nothing tells. */
export function isMet({ value, limit, atLeast = false }: Target): boolean | undefined {
  if (value === undefined) return undefined;
  return atLeast ? value >= limit : value <= limit;
}

type Pass = NetworkResult["pass"];

/** The project's targets. Ratios are our time over the other's: lower is better. */
export function targetsOf({ rows }: Pick<Result, "rows">): Target[] {
  const pytorch = "PyTorch";
  const exported = "ONNX Runtime, PyTorch's export";
  const times = (one: string, other: string, pass: Pass) =>
    ratiosBetween(ofPass(rows, pass), [one, other], ({ milliseconds }) => milliseconds.median);
  const against = (contestant: string, pass: Pass) => times(ours.name, contestant, pass);
  const mechanisms = (pass: "forward" | "gradients") =>
    rows.flatMap((row) => (row.kind === "mechanism" && row.pass === pass ? [row.ratio] : []));
  const target = (
    name: string,
    values: readonly number[],
    summary: (values: readonly number[]) => number,
    limit: number,
    atLeast?: true,
  ): Target => ({
    name,
    value: values.length > 0 ? summary(values) : undefined,
    limit,
    ...(atLeast ? { atLeast } : {}),
    rows: values.length,
  });
  const memoryRatios = (contestant: string) =>
    ratiosBetween(ofPass(rows, "training"), [contestant, pytorch], ({ memory }) => memory?.added);
  const largest = (values: readonly number[]) => Math.max(...values);
  const least = (values: readonly number[]) => Math.min(...values);
  const memoryTargets = (name: string, ratios: readonly number[], limit: number) => [
    target(`${name}: peak memory over PyTorch's, geometric mean`, ratios, geometricMean, limit),
    target(`${name}: peak memory over PyTorch's, largest`, ratios, largest, limit),
  ];
  return [
    target("inference over PyTorch, geometric mean", against(pytorch, "inference"), geometricMean, 0.6),
    target(
      "inference over ONNX Runtime with PyTorch's export, geometric mean",
      against(exported, "inference"),
      geometricMean,
      1,
    ),
    target(
      "inference on the calling thread over the same, geometric mean",
      times(onCallingThread.name, exported, "inference"),
      geometricMean,
      1,
    ),
    target("SE-ResNet-50, inference: share of the matrix product's rate", shares(rows), least, 0.85, true),
    target("training step over PyTorch, geometric mean", against(pytorch, "training"), geometricMean, 1),
    target("training step over PyTorch, largest", against(pytorch, "training"), largest, 1.5),
    ...memoryTargets("training step", memoryRatios(ours.name), 1.2),
    ...memoryTargets("training step, checkpointed", memoryRatios(checkpointing.name), 0.6),
    target("mechanism forward over its roofline, median", mechanisms("forward"), medianOf, 1.5),
    target("mechanism forward over its roofline, largest", mechanisms("forward"), largest, 4),
    target("mechanism with gradients over its roofline, median", mechanisms("gradients"), medianOf, 2.5),
    ...["TensorFlow.js", "jax-js"].flatMap((name) => [
      target(`training step over ${name}, geometric mean`, against(name, "training"), geometricMean, 1 / 20),
      target(`inference over ${name}, geometric mean`, against(name, "inference"), geometricMean, 1 / 10),
    ]),
    target("SE-ResNet-50, training: building the step, seconds", buildSeconds(rows), largest, 2.5),
    target("SE-ResNet-50, inference: first result, seconds", firstSeconds(rows), largest, 1.2),
  ];
}

function ofPass(rows: readonly RowResult[], pass: Pass): NetworkResult[] {
  return rows.filter((row): row is NetworkResult => row.kind === "network" && row.pass === pass);
}

/** What an entry has of one contestant over the same of another, in the rows that have both. */
function ratiosBetween(
  rows: readonly NetworkResult[],
  [one, other]: readonly [string, string],
  of: (entry: Entry) => number | undefined,
): number[] {
  return rows.flatMap(({ entries }) => {
    const [its, others] = [one, other].map((name) => {
      const entry = entries.find(({ contestant }) => contestant === name);
      return entry && of(entry);
    });
    return its === undefined || others === undefined ? [] : [its / others];
  });
}

const isLarge = ({ id }: RowResult) => id.includes("/se-resnet-50/");

function shares(rows: readonly RowResult[]): number[] {
  return ofPass(rows, "inference")
    .filter(isLarge)
    .map(({ share }) => share);
}

function buildSeconds(rows: readonly RowResult[]): number[] {
  return rows.flatMap((row) =>
    row.kind === "build" && isLarge(row) ? [row.milliseconds.median / 1000] : [],
  );
}

function firstSeconds(rows: readonly RowResult[]): number[] {
  return ofPass(rows, "inference")
    .filter(isLarge)
    .map(({ entries }) => entries[0]!.first / 1000);
}
