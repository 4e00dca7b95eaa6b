import type { HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { fromTorchNames, toTorchNames } from "../formats/torch-names.js";
import { type Model, namedParameters, namedVariables, parameterCount } from "../graph/model.js";
import { formatShape } from "../graph/size.js";
import { type Comparison, compareTensors, toleranceFor } from "./compare.js";
import { fillValues } from "./fill.js";
import type { GoldenCase } from "./golden-case.js";

/** A case whose state is listed by the reference code's keys and filled by a formula. */
export type FilledCase = GoldenCase & {
  readonly [K in "fill" | "stateDict" | "parameterCount"]: NonNullable<GoldenCase[K]>;
};

/** True for a case that lists its state. @throws FormatError for one that does so in part */
export function isFilled(golden: GoldenCase): golden is FilledCase {
  const parts = [golden.fill, golden.stateDict, golden.parameterCount];
  const given = parts.filter((part) => part !== undefined).length;
  if (given === 0) return false;
  if (given === parts.length) return true;
  throw new FormatError("golden case must have all of fill, stateDict and parameterCount, or none");
}

/**
 * Fills a model as the case says, after checking that its keys, shapes and trained values are those of the list.
 * @throws FormatError that names what differs
 */
export function fillState(golden: FilledCase, model: Model): void {
  requireListedState(golden, model);
  const variables = namedVariables(model);
  for (const [key, name] of fromTorchNames(golden.stateDict.map(([listed]) => listed)).names) {
    const variable = variables.get(name)!;
    variable.value = fillValues(key, variable.shape, golden.fill.seed);
  }
}

function requireListedState({ stateDict, parameterCount: listedCount }: FilledCase, model: Model): void {
  const variables = namedVariables(model);
  const { names, counters } = toTorchNames(variables.keys());
  const ours = new Map<string, string>(
    [...variables].map(([name, { dtype, shape, trainable }]) => [
      names.get(name)!,
      describe({ dtype, shape, trainable }),
    ]),
  );
  for (const key of counters) ours.set(key, describe({ dtype: "int64", shape: [], trainable: false }));
  const theirs = new Map<string, string>(
    stateDict.map(([key, shape, dtype, norm]) => [key, describe({ dtype, shape, trainable: norm !== null })]),
  );
  const problems = [
    ...[...theirs].flatMap(([key, entry]) => {
      const found = ours.get(key);
      return found === entry ? [] : [`${key}: expected ${entry}, found ${found ?? "none"}`];
    }),
    ...[...ours.keys()].filter((key) => !theirs.has(key)).map((key) => `${key}: not expected`),
  ];
  const count = parameterCount(model);
  if (count !== listedCount) problems.push(`expected ${listedCount} trained values, found ${count}`);
  if (problems.length === 0) return;
  const others = problems.length > 5 ? ` (and ${problems.length - 5} more)` : "";
  throw new FormatError(`the model's state is not the case's; ${problems.slice(0, 5).join("; ")}${others}`);
}

function describe(entry: { dtype: string; shape: readonly number[]; trainable: boolean }): string {
  return `${entry.trainable ? "parameter" : "buffer"} ${entry.dtype} ${formatShape(entry.shape)}`;
}

/** Compares the L2 norm of every parameter's gradient with the one in the list. */
export function compareGradientNorms(
  golden: FilledCase,
  model: Model,
  computed: Readonly<Record<string, HostTensor>>,
): Comparison[] {
  const tolerance = toleranceFor(golden.fp32Error.gradParam);
  const zero = new Set(golden.zeroGrads ?? []);
  const norms = new Map(golden.stateDict.map(([key, , , norm]) => [key, norm]));
  return [...toTorchNames(namedParameters(model).keys()).names].map(([name, key]) =>
    compareTensors(`gradNorm.${key}`, scalar(norm(computed[`gradParam.${name}`]!)), scalar(norms.get(key)!), {
      tolerance,
      zero: zero.has(key),
    }),
  );
}

function norm({ data }: HostTensor): number {
  let squares = 0;
  for (const value of data) squares += Number(value) ** 2;
  return Math.sqrt(squares);
}

function scalar(value: number): HostTensor {
  return { dtype: "float32", shape: [], data: Float32Array.of(value) };
}
