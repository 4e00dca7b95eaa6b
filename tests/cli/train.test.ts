import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeModel } from "../../src/onnx/decoder.js";
import { exportOpsets } from "../../src/onnx/export.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const stepsPerEpoch = 24;
const checkpointEvery = 5;
const small = [
  ...[
    "--train-images",
    String(stepsPerEpoch * 16),
    "--test-images",
    "150",
    "--batch-size",
    "16",
    "--epochs",
    "2",
  ],
  ...["--warm-up", "4", "--checkpoint-every", String(checkpointEvery), "--threads", "1"],
];

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const loader = join(root, "scripts", "typescript.mjs");
  const child = spawn(process.execPath, [
    "--import",
    `file://${loader}`,
    join(root, "src/cli/main.ts"),
    "train",
    ...args,
  ]);
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
  return { child, ended };
}

/** Starts a run and sends it a signal once its metrics hold so many lines. */
async function interrupt(folder: string, signal: NodeJS.Signals, lines: number): Promise<Ended> {
  const { child, ended } = start([...small, "--out", folder]);
  const poll = setInterval(() => {
    const path = join(folder, "metrics.jsonl");
    if (!existsSync(path) || readFileSync(path, "utf8").split("\n").length <= lines) return;
    clearInterval(poll);
    child.kill(signal);
  }, 5);
  try {
    return await ended;
  } finally {
    clearInterval(poll);
  }
}

/** Events of a run without what differs from run to run: the times. */
function metricsOf(folder: string): unknown[] {
  const lines = readFileSync(join(folder, "metrics.jsonl"), "utf8").trimEnd().split("\n");
  return lines.map((line) => {
    const { milliseconds, ...event } = JSON.parse(line) as Record<string, unknown>;
    expect(milliseconds).toBeTypeOf("number");
    return event;
  });
}

const folder = mkdtempSync(join(tmpdir(), "fovea-train-"));
const whole = join(folder, "whole");
let uninterrupted: Ended;

beforeAll(async () => {
  uninterrupted = await start([...small, "--out", whole, "--json"]).ended;
}, 240_000);
afterAll(() => rmSync(folder, { recursive: true }));

describe("a run", () => {
  test("ends with one JSON object and leaves all its files", () => {
    expect(uninterrupted.stderr).toContain("epoch 2: test loss");
    expect(uninterrupted.code).toBe(0);
    const result = JSON.parse(uninterrupted.stdout);
    expect(result).toMatchObject({ finished: true, folder: whole, testImages: 150, exportAgrees: 150 });
    expect(result.testAccuracy).toBeGreaterThan(0);
    expect(result.testAccuracy).toBeLessThanOrEqual(1);
    expect(result.seconds).toBeGreaterThan(0);
    const config = JSON.parse(readFileSync(join(whole, "config.json"), "utf8"));
    expect(config).toMatchObject({
      device: "cpu",
      threads: 1,
      settings: { model: "seresnet8", batchSize: 16 },
    });
    expect(Object.keys(config.versions)).toEqual(["fovea", "node", "onnxruntime"]);
    for (const name of ["last.safetensors", "best.safetensors"])
      expect(existsSync(join(whole, name))).toBe(true);
    expect(readFileSync(join(whole, "training.svg"), "utf8")).toMatch(
      /^<svg[\s\S]*Accuracy[\s\S]*<\/svg>\s*$/,
    );
    expect(readFileSync(join(whole, "attention.png")).subarray(1, 4).toString()).toBe("PNG");
  });

  test("exports standard operators with a symbolic batch", () => {
    const model = decodeModel(readFileSync(join(whole, "model.onnx")));
    expect(model.inputs.map(({ name, shape }) => [name, shape])).toEqual([["images", ["batch", 1, 28, 28]]]);
    expect(model.outputs.map(({ name, shape }) => [name, shape])).toEqual([["logits", ["batch", 10]]]);
    expect([...model.opsets.keys()]).toEqual([""]);
    expect(exportOpsets).toContain(model.opsets.get(""));
    expect(JSON.parse(model.metadata.get("classes")!)).toHaveLength(10);
  });

  test("records every step, epoch and evaluation", () => {
    const events = metricsOf(whole) as { type: string; step: number }[];
    const steps = events.filter(({ type }) => type === "step").map(({ step }) => step);
    expect(steps).toEqual(Array.from({ length: 2 * stepsPerEpoch }, (_, index) => index + 1));
    expect(events.filter(({ type }) => type === "evaluation").map(({ step }) => step)).toEqual([24, 48]);
  });
});

describe("an interrupted run", () => {
  test("stops after its step on Ctrl-C, keeps a checkpoint, and goes on as if nothing had happened", async () => {
    const path = join(folder, "interrupted");
    const stopped = await interrupt(path, "SIGINT", 8);
    expect(stopped.code).toBe(1);
    expect(stopped.stderr).toContain(`go on with: fovea train --resume`);
    const before = metricsOf(path) as { type: string; step: number }[];
    const reached = Math.max(...before.map(({ step }) => step));
    expect(reached).toBeGreaterThanOrEqual(8);
    expect(reached).toBeLessThan(2 * stepsPerEpoch);
    const resumed = await start(["--resume", path, "--json"]).ended;
    expect(resumed.code).toBe(0);
    expect(metricsOf(path)).toEqual(metricsOf(whole));
    expect(readFileSync(join(path, "model.onnx")).equals(readFileSync(join(whole, "model.onnx")))).toBe(true);
    expect(JSON.parse(resumed.stdout).testAccuracy).toBe(JSON.parse(uninterrupted.stdout).testAccuracy);
  }, 240_000);

  test("loses at most the steps since the last checkpoint when it is killed", async () => {
    const path = join(folder, "killed");
    const killed = await interrupt(path, "SIGKILL", 2 * checkpointEvery + 3);
    expect(killed.signal).toBe("SIGKILL");
    const { child, ended } = start(["--resume", path]);
    const said = await ended;
    expect(child.exitCode).toBe(0);
    expect(said.stdout).toContain("150 of 150");
    expect(metricsOf(path)).toEqual(metricsOf(whole));
  }, 240_000);

  test("begins anew where it was killed before its first checkpoint", async () => {
    const path = join(folder, "early");
    await interrupt(path, "SIGKILL", 1);
    rmSync(join(path, "last.safetensors"), { force: true });
    expect((await start(["--resume", path]).ended).code).toBe(0);
    expect(metricsOf(path)).toEqual(metricsOf(whole));
  }, 240_000);
});

describe("refusals", () => {
  test.each([
    [["--epochs", "0"], 2, "epochs is 0; it must be an integer of at least 1"],
    [["--learning-rate", "NaN"], 2, "learningRate is NaN; it must be a number above 0"],
    [["--optimizer", "lion"], 2, "optimizer is lion; it must be sgd or adamw"],
    [["--threads", "0"], 2, "--threads is 0"],
    [["--resume", "x", "--epochs", "3"], 2, "--resume takes the settings of the run"],
    [["--size", "999"], 2, "--size is for folders of images"],
    [["--overfit", "8", "--mixup", "0.2"], 2, "--mixup does not go with --overfit"],
    [["--data", root, "--data-folder", "x"], 2, "--data-folder does not go with --data"],
    [["--model", "resnet9000"], 2, 'no model "resnet9000"'],
    [["--attention", "sse"], 2, 'no mechanism "sse"'],
    [["--device", "tpu", "--out", join(folder, "tpu")], 1, "tpu"],
    [["--device", "tpu", "--dry-run"], 1, "tpu"],
    [["--data-folder", join(folder, "nowhere")], 1, "nowhere"],
    [["--resume", join(folder, "nowhere")], 1, "is no run"],
  ])("%j", async (args, code, message) => {
    const ended = await start(args).ended;
    expect(ended.stderr).toContain(message);
    expect(ended.code).toBe(code);
  });

  test("a folder that holds a run already, and a run of another model", async () => {
    const again = await start([...small, "--out", whole]).ended;
    expect([again.code, again.stderr.includes("holds a run already")]).toEqual([1, true]);
    const dry = await start([...small, "--out", whole, "--dry-run"]).ended;
    expect([dry.code, dry.stderr.includes("holds a run already")]).toEqual([1, true]);
    const path = join(folder, "other");
    await interrupt(path, "SIGINT", 6);
    const file = join(path, "config.json");
    writeFileSync(file, readFileSync(file, "utf8").replace('"attention": null', '"attention": "none"'));
    const other = await start(["--resume", path]).ended;
    expect(other.code).toBe(1);
    expect(other.stderr).toMatch(/another model|description|attention/);
  }, 240_000);
});
