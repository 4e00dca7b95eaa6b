import { type CAC, cac } from "cac";
import { FoveaError } from "../base/errors.js";
import { didYouMean } from "../base/suggestion.js";
import { version } from "../base/version.js";
import { bench } from "./bench.js";
import { type Command, type Output, UsageError } from "./command.js";
import { compare } from "./compare.js";
import { doctor } from "./doctor.js";
import { evaluateCommand } from "./evaluate.js";
import { explainCommand } from "./explain.js";
import { exportCommand } from "./export.js";
import { list } from "./list.js";
import { predict } from "./predict.js";
import { profile } from "./profile.js";
import { show } from "./show.js";
import { summary } from "./summary.js";
import { train } from "./train.js";
import { verify } from "./verify.js";

const commands: readonly Command[] = [
  train,
  evaluateCommand,
  predict,
  explainCommand,
  exportCommand,
  summary,
  list,
  show,
  compare,
  bench,
  profile,
  verify,
  doctor,
];

/** Exit codes of every command. */
const exitCode = { success: 0, failed: 1, usage: 2 } as const;

/**
 * Runs a command line and returns its exit code: 0, 1 where the work failed, 2 for wrong usage. Does not throw.
 * @param args what follows the program's name
 * @param options.debug shows the stack of errors
 */
export async function runCommandLine(
  args: readonly string[],
  output: Output,
  options: { readonly debug?: boolean } = {},
): Promise<number> {
  // Found before parsing, so that a wrong command line, too, is answered in JSON.
  const json = args.includes("--json");
  try {
    const cli = commandLine(output);
    cli.parse(["node", "fovea", ...args], { run: false });
    if (cli.options.help || (cli.options.version && !cli.matchedCommand)) return exitCode.success;
    if (!cli.matchedCommand) throw unknownCommand(cli.args[0]);
    checkOptionNames(cli);
    return (await cli.runMatchedCommand()) as number;
  } catch (error) {
    report(error, { output, json, debug: options.debug ?? false });
    return isUsageError(error) ? exitCode.usage : exitCode.failed;
  }
}

function commandLine(output: Output): CAC {
  const cli = cac("fovea");
  cli.option("--json", "the result as one JSON object on standard output");
  cli.help((sections) => sections.filter(({ title }) => !title?.startsWith("For more info")));
  cli.version(version);
  for (const { usage, summary, options = [], examples, run } of commands) {
    const command = cli.command(usage, summary);
    for (const [flags, meaning] of options) command.option(flags, meaning);
    for (const example of examples) command.example(`  $ ${example}`);
    command.action(() =>
      run({ args: cli.args, options: cli.options, json: cli.options.json === true, output }),
    );
  }
  for (const { examples } of commands) cli.example(`  $ ${examples[0]}`);
  return cli;
}

function unknownCommand(name: string | undefined): UsageError {
  const known = commands.map(({ usage }) => usage.split(" ")[0]!);
  if (name === undefined) return new UsageError(`which command? Known are ${known.join(", ")}`);
  return new UsageError(`no command "${name}"; ${didYouMean(name, known)}`);
}

/** The library's own message has no hint. */
function checkOptionNames(cli: CAC): void {
  const known = [...cli.globalCommand.options, ...cli.matchedCommand!.options].flatMap(({ names }) => names);
  const unknown = Object.keys(cli.options).find((name) => name !== "--" && !known.includes(name));
  if (unknown === undefined) return;
  const flag = (name: string) => (name.length > 1 ? `--${name}` : `-${name}`);
  const flags = known.filter((name) => name.length > 1).map(flag);
  throw new UsageError(
    `${cli.matchedCommandName} has no option ${flag(unknown)}; ${didYouMean(flag(unknown), flags)}`,
  );
}

function isUsageError(error: unknown): boolean {
  // The library does not export the class of its errors.
  return error instanceof UsageError || (error instanceof Error && error.name === "CACError");
}

function report(error: unknown, context: { output: Output; json: boolean; debug: boolean }): void {
  const expected = error instanceof FoveaError || isUsageError(error);
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  // What nobody expected is a fault of the program; only its stack helps.
  context.output.log(context.debug || !expected ? `fovea: ${stack ?? message}` : `fovea: ${message}`);
  if (isUsageError(error))
    context.output.log("'fovea --help' lists the commands, 'fovea COMMAND --help' explains one");
  if (context.json) context.output.result(JSON.stringify({ error: { name, message } }));
}
