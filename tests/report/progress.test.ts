import { PassThrough } from "node:stream";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { progress } from "../../src/report/node-progress.js";
import { lineProgress, TimeLeft } from "../../src/report/progress.js";
import { stripEscapes } from "../../src/report/text-width.js";

function fakeClock() {
  let now = 1000;
  return { clock: () => now, wait: (seconds: number) => (now += seconds * 1000) };
}

function collect(columns?: number) {
  const stream = Object.assign(new PassThrough(), columns === undefined ? {} : { isTTY: true, columns });
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  return { stream, text: () => text };
}

describe("time left", () => {
  it("follows the speed, without the steps of an earlier start", () => {
    const { clock, wait } = fakeClock();
    const timeLeft = new TimeLeft({ total: 1000, done: 400 }, clock);
    expect(timeLeft.update(400)).toBeNaN();
    wait(10);
    expect(timeLeft.update(500)).toBeCloseTo(50, 9);
    wait(10);
    expect(timeLeft.update(600)).toBeCloseTo(40, 9);
    // half as fast for long: the estimate moves to the new speed
    for (let step = 610; step <= 800; step += 10) {
      wait(2);
      timeLeft.update(step);
    }
    const left = timeLeft.update(800);
    expect(left).toBeGreaterThan(200 / 6.5);
    expect(left).toBeLessThan(200 / 5);
  });
});

describe("progress lines", () => {
  it("come at the start, every five seconds, at each epoch's end and at the end", () => {
    const { clock, wait } = fakeClock();
    const lines: string[] = [];
    const shown = lineProgress({ total: 60, stepsPerEpoch: 20 }, (line) => lines.push(line), { clock });
    for (let step = 1; step <= 60; step++) {
      wait(0.5);
      shown.update({ step, loss: 1 / step, accuracy: step / 60, imagesPerSecond: 3412.3 });
    }
    shown.stop();
    const steps = lines.map((line) => Number(/step\s+(\d+)\/60/.exec(line)![1]));
    expect(steps).toEqual([1, 11, 20, 30, 40, 50, 60]);
    expect(lines[1]).toBe("step 11/60  epoch 1/3  loss 0.09091  accuracy 18.33 %  3,412 images/s  left 0:25");
    expect(lines[2]).toContain("epoch 1/3");
    expect(lines[3]).toContain("epoch 2/3");
    expect(lines.at(-1)).toContain("left 0:00");
  });

  it("stop shows the last figures once, and nothing follows", () => {
    const { clock, wait } = fakeClock();
    const lines: string[] = [];
    const shown = lineProgress({ total: 100 }, (line) => lines.push(line), { clock });
    shown.update({ step: 1 });
    wait(1);
    shown.update({ step: 2, loss: Number.NaN });
    shown.message("saved");
    shown.stop();
    shown.stop();
    shown.update({ step: 3 });
    shown.message("late");
    expect(lines).toEqual(["step   1/100", "saved", "step   2/100  loss NaN  left 0:49"]);
  });

  it("goes on from a resumed step and does not repeat its epoch's end", () => {
    const { clock, wait } = fakeClock();
    const lines: string[] = [];
    const shown = lineProgress({ total: 40, done: 20, stepsPerEpoch: 20 }, (line) => lines.push(line), {
      clock,
    });
    for (let step = 21; step <= 23; step++) {
      wait(1);
      shown.update({ step });
    }
    expect(lines).toEqual(["step 21/40  epoch 2/2  left 0:19"]);
  });
});

describe("progress", () => {
  beforeEach(() => vi.stubEnv("TERM", "xterm"));
  afterEach(() => vi.unstubAllEnvs());

  it("writes plain lines to a stream that is no terminal", () => {
    const { stream, text } = collect();
    const shown = progress({ total: 10, stream });
    shown.update({ step: 10, loss: 0.5 });
    shown.message("done");
    shown.stop();
    expect(text()).toMatch(/^step 10\/10 {2}loss 0\.5000( {2}left 0:00)?\ndone\n$/);
  });

  it("writes plain lines on a terminal where they are asked for", () => {
    const { stream, text } = collect(80);
    const shown = progress({ total: 10, stream, isTTY: false });
    shown.update({ step: 1 });
    shown.stop();
    expect(text()).toMatch(/^step {2}1\/10.*\n$/);
  });

  it("draws a bar on a terminal that fits its width, with messages above", () => {
    const { clock, wait } = fakeClock();
    const { stream, text } = collect(100);
    const shown = progress({ total: 938, stepsPerEpoch: 938, stream, clock });
    wait(10);
    shown.update({ step: 469, loss: 0.1234, accuracy: 0.971, imagesPerSecond: 3412 });
    shown.message("checkpoint saved");
    shown.stop();
    const plain = stripEscapes(text());
    expect(plain).toContain("checkpoint saved\n");
    expect(plain).toContain("469/938  epoch 1/1  loss 0.1234  accuracy 97.10 %  3,412 images/s  left 0:10");
    const bar = plain.split(/[\n\r]/).find((line) => line.includes("469/938"))!;
    expect(bar.length).toBeLessThan(100);
    const filled = [...bar].filter((c) => c === "█").length;
    expect(filled).toBe(Math.round([...bar].filter((c) => c === "█" || c === "░").length / 2));
    expect(plain.endsWith("\n")).toBe(true);
  });

  it("drops words on a narrow terminal and never wraps or hides the cursor", () => {
    const { stream, text } = collect(30);
    const shown = progress({ total: 938, stream });
    shown.update({ step: 100, loss: 0.1234, accuracy: 0.971, imagesPerSecond: 3412 });
    shown.stop();
    expect(text()).not.toContain("\u001b[?");
    for (const line of stripEscapes(text()).split(/[\n\r]/)) expect(line.length).toBeLessThan(60);
    expect(stripEscapes(text())).toContain("100/938");
    expect(text()).not.toContain("images/s");
  });
});
