import { spawn } from "node:child_process";
import * as promises from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DataError } from "../../src/base/errors.js";
import { configDifferences } from "../../src/train/config-difference.js";
import type { RecordedEvent, StepEvent } from "../../src/train/events.js";
import { type FileSystem, nodeFileSystem } from "../../src/train/node-atomic-file.js";
import { RunFolder } from "../../src/train/node-run-folder.js";
import { untimed } from "./helpers.js";

const { appendFile, chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } = promises;

let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "fovea-run-"));
  folder = join(root, "runs", "a");
});
afterEach(() => rm(root, { recursive: true, force: true }));

const config = { model: { name: "se-resnet", widths: [8, 16] }, threads: 2, versions: { fovea: "1.0.0" } };

function step(number: number): StepEvent {
  const figures = { loss: 1 / number, metrics: { accuracy: 0.5 }, learningRate: 0.1, gradientNorm: 1 };
  return { type: "step", step: number, epoch: 1, ...figures, milliseconds: number };
}

const text = async (name: string) => readFile(join(folder, name), "utf8");

describe("RunFolder", () => {
  it("holds configuration, metrics and checkpoints", async () => {
    const run = await RunFolder.create(folder, config);
    expect(JSON.parse(await text("config.json"))).toEqual(config);
    expect(await run.load("last")).toBeUndefined();
    expect(await run.metrics()).toEqual([]);
    run.record(step(1));
    run.record(step(2));
    await run.save("last", Uint8Array.of(1, 2, 3));
    await run.save("best", Uint8Array.of(4));
    await run.save("last", Uint8Array.of(5, 6));
    expect(await text("metrics.jsonl")).toBe(`${JSON.stringify(step(1))}\n${JSON.stringify(step(2))}\n`);
    expect([...(await run.load("last"))!]).toEqual([5, 6]);
    expect([...(await run.load("best"))!]).toEqual([4]);
    expect((await readdir(folder)).sort()).toEqual([
      "best.safetensors",
      "config.json",
      "last.safetensors",
      "metrics.jsonl",
    ]);
    expect((await RunFolder.open(folder)).config).toEqual(config);
  });

  it("is not made over another run", async () => {
    await RunFolder.create(folder, config);
    await expect(RunFolder.create(folder, config)).rejects.toThrow(DataError);
    await expect(RunFolder.create(folder, config)).rejects.toThrow(
      /holds a run already \(config\.json\); resume it/,
    );
    await expect(RunFolder.open(root)).rejects.toThrow(/is no run: config\.json is missing/);
    await writeFile(join(root, "config.json"), "[1]");
    await expect(RunFolder.open(root)).rejects.toThrow(/is not a JSON object/);
  });

  it("cuts its metrics back, and drops a last line that was cut off and what ended the run", async () => {
    const run = await RunFolder.create(folder, config);
    const end: RecordedEvent = { type: "end", step: 2, epoch: 0, reason: "aborted", milliseconds: 1 };
    for (const event of [step(1), step(2), end, step(3), step(4)]) run.record(event);
    await run.flush();
    await appendFile(join(folder, "metrics.jsonl"), '{"type":"step","ste');
    await run.cutBack(3);
    expect(await run.metrics()).toEqual([step(1), step(2), step(3)]);
    run.record(step(4));
    expect(await run.metrics()).toEqual([step(1), step(2), step(3), step(4)]);
  });

  it("refuses metrics that are damaged elsewhere", async () => {
    const run = await RunFolder.create(folder, config);
    const lines = `${JSON.stringify(step(1))}\n{"type":\n${JSON.stringify(step(2))}\n`;
    await writeFile(join(folder, "metrics.jsonl"), lines);
    await expect(run.cutBack(1)).rejects.toThrow(/metrics\.jsonl: line 2 is no event: \{"type":/);
    expect(await text("metrics.jsonl")).toBe(lines);
  });

  it("is resumed by the same model only, and then without what a killed process left half-written", async () => {
    await RunFolder.create(folder, config);
    await writeFile(join(folder, ".last.safetensors.writing"), "half");
    const other = { ...config, model: { name: "se-resnet", widths: [8, 32], blocks: 2 } };
    await expect(RunFolder.resume(folder, other)).rejects.toThrow(DataError);
    await expect(RunFolder.resume(folder, other)).rejects.toThrow(
      /model\.widths\.1 was 16, is 32; model\.blocks was missing, is 2/,
    );
    expect(await readdir(folder)).toContain(".last.safetensors.writing");
    const run = await RunFolder.resume(folder, { ...config, threads: 4, versions: { fovea: "2.0.0" } });
    expect(run.config).toEqual(config);
    expect(await readdir(folder)).toEqual(["config.json"]);
    await expect(RunFolder.resume(folder, { ...config, threads: 4 }, { mayDiffer: [] })).rejects.toThrow(
      /threads was 2, is 4/,
    );
  });

  it("names the differences of configurations", () => {
    expect(configDifferences({ a: 1, b: [1, 2] }, { a: 1, b: [1, 2] })).toEqual([]);
    expect(configDifferences({ a: null, b: [1], c: {} }, { a: false, b: { 0: 1 }, c: { d: "x" } })).toEqual([
      "a was null, is false",
      'b was [1], is {"0":1}',
      'c.d was missing, is "x"',
    ]);
    expect(configDifferences({ a: { b: 1 } }, { a: {} })).toEqual(["a.b was 1, is missing"]);
  });
});

/** A file system that fails at one call, as a full disk or a folder without permission does. */
function failing(call: keyof FileSystem | "writeFile" | "sync", code: string, name: RegExp): FileSystem {
  const failure = () => Promise.reject(Object.assign(new Error(`${code}: no luck`), { code }));
  const guarded = Object.fromEntries(
    Object.entries(nodeFileSystem).map(([key, original]) => [
      key,
      (path: string, ...rest: unknown[]) =>
        key === call && name.test(path)
          ? failure()
          : (original as (...all: unknown[]) => unknown)(path, ...rest),
    ]),
  ) as unknown as FileSystem;
  if (call !== "writeFile" && call !== "sync") return guarded;
  return {
    ...guarded,
    open: (async (path: string, flags: string) => {
      const handle = await nodeFileSystem.open(path, flags);
      if (!name.test(path)) return handle;
      return {
        // A full disk takes the first bytes.
        writeFile: async (content: Uint8Array) => {
          if (call !== "writeFile") return handle.writeFile(content);
          await handle.write(content.subarray(0, 1));
          return failure();
        },
        sync: () => (call === "sync" ? failure() : handle.sync()),
        close: () => handle.close(),
      };
    }) as unknown as FileSystem["open"],
  };
}

describe("a disk that is full or read-only", () => {
  it.each([
    ["writeFile", "ENOSPC", /the disk is full/],
    ["sync", "EDQUOT", /the disk quota is used up/],
    ["rename", "EROFS", /the file system is read-only/],
    ["open", "EACCES", /it is not allowed/],
  ] as const)("while a checkpoint is replaced (%s): the old one stays", async (call, code, reason) => {
    const run = await RunFolder.create(folder, config);
    await run.save("last", Uint8Array.of(1, 2, 3));
    const broken = await RunFolder.open(folder, failing(call, code, /\.last\.safetensors\.writing$/));
    const failure = await broken.save("last", Uint8Array.of(9, 9)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DataError);
    expect(String(failure)).toMatch(/cannot write .*last\.safetensors; what was there stays/);
    expect(String(failure)).toMatch(reason);
    expect([...(await run.load("last"))!]).toEqual([1, 2, 3]);
    expect(await readdir(folder)).not.toContain(".last.safetensors.writing");
  });

  it("while metrics are written: the next save or flush says so", async () => {
    const run = await RunFolder.create(folder, config);
    await run.save("last", Uint8Array.of(1));
    const broken = await RunFolder.open(folder, failing("appendFile", "ENOSPC", /metrics\.jsonl$/));
    broken.record(step(1));
    await expect(broken.flush()).rejects.toThrow(DataError);
    await expect(broken.save("last", Uint8Array.of(2))).rejects.toThrow(
      /cannot append to .*the disk is full/,
    );
    expect([...(await run.load("last"))!]).toEqual([1]);
  });

  it("while the folder is made", async () => {
    await expect(RunFolder.create(folder, config, failing("mkdir", "EACCES", /a$/))).rejects.toThrow(
      /cannot make the folder .*: it is not allowed/,
    );
    await writeFile(join(root, "runs"), "a file");
    await expect(RunFolder.create(folder, config)).rejects.toThrow(DataError);
    await expect(RunFolder.create(folder, config)).rejects.toThrow(/a part of the path is a file/);
  });

  it("a real folder without permission, where the user is bound by permissions", async () => {
    await mkdir(root, { recursive: true });
    const run = await RunFolder.create(folder, config);
    await run.save("last", Uint8Array.of(1));
    await chmod(folder, 0o500);
    const bound = await appendFile(join(folder, "probe"), "").then(
      () => false,
      () => true,
    );
    // An administrator may write anywhere: then the save succeeds.
    const saved = run.save("last", Uint8Array.of(2));
    if (bound) await expect(saved).rejects.toThrow(DataError);
    else await saved;
    await chmod(folder, 0o700);
    expect([...(await run.load("last"))!]).toEqual([bound ? 1 : 2]);
  });

  it("a real device that is full", async () => {
    const full = await promises.stat("/dev/full").catch(() => undefined);
    const run = await RunFolder.create(folder, config);
    await run.save("last", Uint8Array.of(1));
    const onFullDisk: FileSystem = {
      ...nodeFileSystem,
      open: ((path: string, flags: string) =>
        nodeFileSystem.open(
          path.endsWith(".writing") && full ? "/dev/full" : path,
          flags,
        )) as FileSystem["open"],
    };
    const saved = (await RunFolder.open(folder, onFullDisk)).save("last", Uint8Array.of(2));
    if (full) await expect(saved).rejects.toThrow(/the disk is full/);
    else await saved;
    expect([...(await run.load("last"))!]).toEqual([full ? 1 : 2]);
  });
});

describe("a run in a process of its own", () => {
  const script = fileURLToPath(new URL("training-process.ts", import.meta.url));
  const loader = fileURLToPath(new URL("../../scripts/typescript.mjs", import.meta.url));

  /** Trains in a child process, which waits after a step and is sent a signal then. */
  async function train(path: string, signal?: { name: NodeJS.Signals; atStep: number }): Promise<string> {
    const child = spawn(process.execPath, ["--import", loader, script, path, String(signal?.atStep)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
      if (signal && output.includes(`step ${signal.atStep}\n`)) child.kill(signal.name);
    });
    await new Promise((resolve) => child.on("close", resolve));
    return output;
  }

  it("goes on after kill -9 and after Ctrl-C as if it had not been interrupted", async () => {
    const whole = join(root, "whole");
    const broken = join(root, "broken");
    expect(await train(whole)).toContain("end completed");
    expect(await train(broken, { name: "SIGKILL", atStep: 5 })).not.toContain("end");
    const interrupted = await train(broken, { name: "SIGINT", atStep: 14 });
    expect(interrupted).toContain("end aborted");
    expect(await train(broken)).toContain("end completed");
    const [expected, found] = await Promise.all([whole, broken].map((path) => RunFolder.open(path)));
    expect(untimed(await found!.metrics())).toEqual(untimed(await expected!.metrics()));
    expect(await found!.load("last")).toEqual(await expected!.load("last"));
    expect(await found!.load("best")).toEqual(await expected!.load("best"));
  }, 120_000);
});
