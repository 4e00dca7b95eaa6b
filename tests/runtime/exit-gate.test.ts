import { setTimeout } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { ExitGate } from "../../src/runtime/node-exit-gate.js";

describe("the gate of the process's end", () => {
  it("closes at once where nothing is under way, and lets nothing begin then", () => {
    const gate = new ExitGate();
    expect(gate.enter()).toBe(true);
    gate.leave();
    gate.close(60_000);
    expect(gate.enter()).toBe(false);
  });

  it("waits until another thread has finished, but not longer than told", async () => {
    const gate = new ExitGate();
    expect(gate.enter()).toBe(true);
    const start = performance.now();
    gate.close(50);
    expect(performance.now() - start).toBeGreaterThanOrEqual(45);
    const worker = new Worker(
      `const { workerData: cells } = require("node:worker_threads");
       setTimeout(() => { Atomics.store(cells, 0, 0); Atomics.notify(cells, 0); }, 100);`,
      { eval: true, workerData: gate.cells, execArgv: [] },
    );
    await setTimeout(0);
    gate.close(30_000);
    expect(Atomics.load(gate.cells, 0)).toBe(0);
    await worker.terminate();
  });
});
