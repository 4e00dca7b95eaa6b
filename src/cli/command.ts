import { OptionError } from "../base/errors.js";
import type { SessionOptions } from "../runtime/types.js";

/** Wrong usage of a command: exit code 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Where a command writes. */
export interface Output {
  /** Results: standard output. */
  result(text: string): void;
  /** Progress and messages: standard error. */
  log(text: string): void;
}

/** Options as they were given: flags are booleans; a value that reads as a number is one. */
export type GivenOptions = Readonly<Record<string, unknown>>;

/** A command of the command line. */
export interface Command {
  /** Name and arguments: `show <id>`, `verify <...paths>`. */
  readonly usage: string;
  /** What it does, in a line. */
  readonly summary: string;
  /** Flags with what they mean: `["--family <name>", "only this family"]`. `--json` and `--help` are everyone's. */
  readonly options?: readonly (readonly [flags: string, meaning: string])[];
  /** Complete calls, for the help. */
  readonly examples: readonly string[];
  /** Does the work and returns the exit code: 0, or 1 where it failed. @throws UsageError, FoveaError */
  run(call: CommandCall): Promise<number>;
}

/** One call of a command. */
export interface CommandCall {
  readonly args: readonly string[];
  readonly options: GivenOptions;
  /** True where one JSON object is the result. */
  readonly json: boolean;
  readonly output: Output;
}

/** The value of an option as text; undefined where it was not given. @throws UsageError where it was given twice */
export function textOption(options: GivenOptions, name: string): string | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  if (Array.isArray(value)) throw new UsageError(`--${name} was given ${value.length} times`);
  return String(value);
}

/** The values of an option that may be repeated. */
export function textOptions(options: GivenOptions, name: string): string[] {
  const value = options[name] ?? [];
  return (Array.isArray(value) ? value : [value]).map(String);
}

/** The option `--size`: height and width of an image, `56` or `56x40`. @throws UsageError for another form */
export function pixelsOf(text: string): { height: number; width: number } {
  const found = /^(\d{1,6})(?:x(\d{1,6}))?$/.exec(text);
  const [height, width] = [Number(found?.[1]), Number(found?.[2] ?? found?.[1])];
  if (height >= 1 && width >= 1) return { height, width };
  throw new UsageError(`--size is ${text}; it must be pixels such as 56 or 56x40`);
}

/** The value of an option that is a count, or the fallback. @throws UsageError where it is no integer of at least `min` */
export function countOption(options: GivenOptions, name: string, fallback: number, min = 1): number {
  const value = options[name] ?? fallback;
  if (Number.isSafeInteger(value) && Number(value) >= min) return Number(value);
  throw new UsageError(`${flagOf(name)} is ${String(value)}; it must be an integer of at least ${min}`);
}

/** The flag of an option: `numClasses` is given as `--num-classes`. */
export function flagOf(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Refuses options that do nothing beside the others. @throws UsageError that names the first */
export function refuseOptions(options: GivenOptions, names: readonly string[], reason: string): void {
  const misplaced = names.find((name) => options[name] !== undefined && options[name] !== false);
  if (misplaced !== undefined) throw new UsageError(`${flagOf(misplaced)} ${reason}`);
}

/** Device and threads of sessions: the options `--device` and `--threads`. @throws UsageError */
export function sessionOptions(options: GivenOptions): SessionOptions {
  const device = textOption(options, "device");
  return {
    ...(options.threads === undefined ? {} : { threads: countOption(options, "threads", 1) }),
    ...(device === undefined ? {} : { device }),
  };
}

/** Flags of `sessionOptions`. */
export const sessionFlags = [
  ["--device <name>", "Where to compute (default cpu)"],
  ["--threads <n>", "Threads of the sessions (default one per core)"],
] as const;

/** Runs code that judges what the user typed: a refused option is wrong usage. */
export function asUsage<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    throw new UsageError(error.message, { cause: error });
  }
}

/** Writes a JSON object as the result, on one line. */
export function writeJson(output: Output, value: unknown): void {
  output.result(JSON.stringify(value));
}
