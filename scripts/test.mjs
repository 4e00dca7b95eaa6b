// npm test: set-up, then every check, whatever the ones before said; the last line is `N passed, N failed`.
// npm test -- ARGS runs vitest alone with these arguments, such as a file's name or -t PATTERN.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root, setUp } from "./setup.mjs";

setUp();

const results = mkdtempSync(join(tmpdir(), "fovea-tests-"));
process.on("exit", () => rmSync(results, { recursive: true, force: true }));

const given = process.argv.slice(2);
const checks =
  given.length > 0
    ? [vitest("tests", given)]
    : [
        command("format and lint", "@biomejs/biome", "biome", ["check", "."]),
        command("types", "typescript", "tsc", ["--noEmit"]),
        command("unused code and dependencies", "knip", "knip", []),
        vitest("tests", ["--project", "source"]),
        vitest("package tests", ["--project", "package"]),
      ];

const outcomes = [];
for (const { name, run } of checks) {
  console.log(`\n=== ${name} ===`);
  const started = Date.now();
  outcomes.push({ name, ...(await run()), seconds: Math.round((Date.now() - started) / 1000) });
}

console.log("\n=== summary ===");
for (const { name, passed, failed, seconds } of outcomes) {
  const verdict = failed > 0 ? "FAILED" : "passed";
  const count = passed + failed === 1 ? "" : `  ${passed} passed, ${failed} failed`;
  console.log(`${verdict}  ${name}${count}  (${seconds} s)`);
}
const total = (key) => outcomes.reduce((sum, outcome) => sum + outcome[key], 0);
console.log(`${total("passed")} passed, ${total("failed")} failed`);
process.exitCode = total("failed") > 0 ? 1 : 0;

/** A check by a program of a package: one passed or one failed. */
function command(name, packageName, binary, args) {
  return {
    name,
    run: async () => {
      const passed = (await execute(packageName, binary, args)) === 0;
      return { passed: passed ? 1 : 0, failed: passed ? 0 : 1 };
    },
  };
}

/** vitest, counted test by test. */
function vitest(name, args) {
  const file = join(results, `${name.replaceAll(" ", "-")}.json`);
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
  return {
    name,
    run: async () => {
      const code = await execute("vitest", "vitest", ["run", ...reporters, ...args]);
      const { passed, failed } = counts(file);
      // A failure outside of tests (a set-up, an unhandled rejection) shows in the exit code alone.
      return { passed, failed: code !== 0 && failed === 0 ? 1 : failed };
    },
  };
}

function counts(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { passed: 0, failed: 0 };
  }
  // A file that cannot be loaded has failed and has no tests.
  const broken = report.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  return { passed: report.numPassedTests, failed: report.numFailedTests + broken.length };
}

/** Runs a program of an installed package; resolves to its exit code. */
function execute(packageName, binary, args) {
  const manifest = join(root, "node_modules", packageName, "package.json");
  const { bin } = JSON.parse(readFileSync(manifest, "utf8"));
  const program = join(dirname(manifest), typeof bin === "string" ? bin : bin[binary]);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, ...args], {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
    });
    child.on("error", (error) => {
      console.error(error.message);
      resolve(1);
    });
    child.on("exit", (code) => resolve(code ?? 1));
  });
}
