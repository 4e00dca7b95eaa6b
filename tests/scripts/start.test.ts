import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Checkout } from "./checkout.js";

test("start is set-up and then `fovea train ARGS`, with nothing else on stdout", async () => {
  const checkout = await Checkout.create();
  const { code, stdout } = await checkout.run("start.mjs", ["exit", "3", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ train: true, args: ["3", "--json"] });
  expect(code).toBe(3);
  expect(await checkout.npmCalls()).toHaveLength(1);
});

test("fovea runs in the folder where npm was called", async () => {
  const checkout = await Checkout.create();
  const below = join(checkout.folder, "below");
  await mkdir(below);
  const npm = { npm_lifecycle_event: "fovea", INIT_CWD: below };
  const { stdout } = await checkout.run("fovea.mjs", ["exit", "0"], npm);
  expect(JSON.parse(stdout)).toEqual({ train: false, args: ["0"], cwd: await realpath(below) });
  const direct = await checkout.run("fovea.mjs", ["exit", "0"], { INIT_CWD: below });
  expect(JSON.parse(direct.stdout).cwd).toBe(await realpath(checkout.folder));
});

test.each(["SIGINT", "SIGTERM"] as const)(
  "%s reaches the program once, however often it comes",
  async (signal) => {
    const checkout = await Checkout.create();
    const { child, isReady, finished } = checkout.start("start.mjs", ["wait"]);
    await isReady;
    child.kill(signal);
    await new Promise((resolve) => setTimeout(resolve, 50));
    child.kill(signal);
    const { code, stdout } = await finished;
    expect(stdout).toContain(`${signal} 1\n`);
    expect(code).toBe(7);
  },
);

test("ends by the signal that ended the program", async () => {
  const checkout = await Checkout.create();
  expect(await checkout.run("start.mjs", ["die"])).toMatchObject({ code: null, signal: "SIGKILL" });
});
