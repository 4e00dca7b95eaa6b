import { OptionError } from "../base/errors.js";

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
