import { runCommandLine } from "../../src/cli/program.js";

/** Runs a command line in this process. */
export async function fovea(...args: string[]) {
  const [out, log]: [string[], string[]] = [[], []];
  const code = await runCommandLine(args, {
    result: (text) => out.push(text),
    log: (text) => log.push(text),
  });
  return { code, out: out.join("\n"), log: log.join("\n"), json: <T>() => JSON.parse(out.join("\n")) as T };
}

/** Trains a network on a few digits and keeps the run in a folder. */
export async function trainSmall(folder: string, ...more: string[]): Promise<void> {
  const size = ["--train-images", "96", "--test-images", "40", "--batch-size", "16", "--epochs", "1"];
  const { code, log } = await fovea("train", ...size, "--warm-up", "2", "--out", folder, ...more);
  if (code !== 0) throw new Error(log);
}
