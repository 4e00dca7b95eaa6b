import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";
import { version } from "../../src/base/version.js";

const root = new URL("../../", import.meta.url).pathname;

/** Runs the command in a process of its own; with `closeOutput` nobody reads its results. */
function fovea(
  args: readonly string[],
  options: { env?: Record<string, string>; closeOutput?: boolean } = {},
) {
  const command = ["--import", "./scripts/typescript.mjs", "src/cli/main.ts", ...args];
  const child = spawn(process.execPath, command, { cwd: root, env: { ...process.env, ...options.env } });
  if (options.closeOutput) child.stdout.destroy();
  const texts = { out: "", log: "" };
  child.stdout.on("data", (data) => {
    texts.out += data;
  });
  child.stderr.on("data", (data) => {
    texts.log += data;
  });
  return new Promise<{ code: number | null; out: string; log: string }>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...texts }));
  });
}

describe("the command", () => {
  it("verifies and exits by itself", async () => {
    const { code, out, log } = await fovea(["verify", "tests/goldens/channel/se.safetensors", "--json"]);
    expect(log).toBe("");
    expect(JSON.parse(out)).toMatchObject({ passed: 1, failed: 0 });
    expect(code).toBe(0);
  });

  it("explains itself", async () => {
    const [all, one, tagged] = await Promise.all([
      fovea(["--help"]),
      fovea(["show", "--help"]),
      fovea(["--version"]),
    ]);
    expect(all).toMatchObject({ code: 0, log: "" });
    for (const name of ["list", "show <id>", "verify <...paths>", "doctor"]) expect(all.out).toContain(name);
    expect(all.out).toContain("$ fovea verify tests/goldens");
    expect(one.code).toBe(0);
    expect(one.out).toContain("--channels <count>");
    expect(one.out).toContain("$ fovea show se --channels 256 --size 56");
    expect(tagged.out).toContain(`fovea/${version}`);
  });

  it("writes errors to standard error, with their stack on request", async () => {
    const [plain, debug] = await Promise.all([
      fovea(["show", "cabm"]),
      fovea(["show", "cabm"], { env: { FOVEA_DEBUG: "1" } }),
    ]);
    expect(plain).toMatchObject({ code: 2, out: "" });
    expect(plain.log).toMatch(/^fovea: no mechanism "cabm"; did you mean cbam.*\?\n'fovea --help'/);
    expect(debug.code).toBe(2);
    expect(debug.log).toMatch(/\n {4}at /);
  });

  it("does not mind a reader that leaves", async () => {
    const { code, log } = await fovea(["list"], { closeOutput: true });
    expect(log).not.toContain("EPIPE");
    expect(code).toBe(0);
  });
});
