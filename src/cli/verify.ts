import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { progress } from "../report/node-progress.js";
import { table } from "../report/table.js";
import { formatValue } from "../report/units.js";
import { type CaseReport, verifyGolden } from "../verify/case-report.js";
import { type Command, UsageError, writeJson } from "./command.js";

/** `fovea verify`: golden cases against the reference values in them. */
export const verify: Command = {
  usage: "verify <...paths>",
  summary: "Run golden files and compare outputs, gradients, buffers and maps with their references",
  examples: ["fovea verify tests/goldens", "fovea verify se.safetensors cbam.safetensors --json"],
  async run({ args, json, output }) {
    const files = await goldenFiles(args);
    const bar = process.stderr.isTTY ? progress({ total: files.length }) : undefined;
    const cases: CaseReport[] = [];
    for (const file of files) {
      cases.push(await verifyGolden(file, () => readFile(file)));
      bar?.update({ step: cases.length });
    }
    bar?.stop();
    const failed = cases.filter(({ status }) => status === "fail").length;
    const passed = cases.length - failed;
    if (json) writeJson(output, { passed, failed, cases });
    else {
      output.result(caseTable(cases));
      output.log(`${passed} passed, ${failed} failed`);
    }
    return failed === 0 ? 0 : 1;
  },
};

function caseTable(cases: readonly CaseReport[]): string {
  return table(
    ["case", "mechanism", { header: "worst error", align: "right" }, "result", "where"],
    cases.map(({ file, mechanism, status, worst, where }) => [
      file,
      mechanism,
      worst === null ? "-" : formatValue(worst),
      status,
      where,
    ]),
  );
}

/** The files named, and those with the ending `.safetensors` in the folders named and below. @throws UsageError where there is none */
async function goldenFiles(paths: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) {
    const entry = await stat(path).catch((cause: unknown) => {
      throw new UsageError(`${path}: no such file or folder`, { cause });
    });
    if (!entry.isDirectory()) found.push(path);
    else {
      const names = await readdir(path, { recursive: true });
      found.push(
        ...names
          .filter((name) => name.endsWith(".safetensors"))
          .sort()
          .map((name) => join(path, name)),
      );
    }
  }
  if (found.length === 0) throw new UsageError(`no .safetensors files in ${paths.join(", ")}`);
  return [...new Set(found)];
}
