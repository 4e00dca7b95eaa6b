import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/base/errors.js";
import { constantRate, cosine, type Schedule, stepDecay, warmUp } from "../../src/train/schedules.js";

function rates(schedule: Schedule, updates: readonly number[], total = 100): number[] {
  return updates.map((update) => Number(schedule(update, total).toPrecision(12)));
}

describe("schedules", () => {
  it("constant", () => {
    expect(rates(constantRate(0.1), [0, 1, 99])).toEqual([0.1, 0.1, 0.1]);
  });

  it("step decay, at intervals and at milestones", () => {
    expect(rates(stepDecay({ rate: 1, factor: 0.5, every: 10 }), [0, 9, 10, 19, 20, 35])).toEqual([
      1, 1, 0.5, 0.5, 0.25, 0.125,
    ]);
    expect(rates(stepDecay({ rate: 1, at: [30, 60] }), [0, 29, 30, 59, 60, 99])).toEqual([
      1, 1, 0.1, 0.1, 0.01, 0.01,
    ]);
  });

  it("cosine over the whole run, or over some updates with a final rate that stays", () => {
    expect(rates(cosine({ rate: 0.2 }), [0, 25, 50, 75, 100])).toEqual([
      0.2, 0.170710678119, 0.1, 0.0292893218813, 0,
    ]);
    expect(rates(cosine({ rate: 1, final: 0.5, updates: 10 }), [0, 5, 10, 50])).toEqual([1, 0.75, 0.5, 0.5]);
  });

  it("warm-up, after which the schedule begins over the rest", () => {
    const schedule = warmUp(cosine({ rate: 1 }), { updates: 4 });
    expect(rates(schedule, [0, 1, 2, 3, 4, 9, 14], 14)).toEqual([0.2, 0.4, 0.6, 0.8, 1, 0.5, 0]);
    expect(rates(warmUp(constantRate(2), { updates: 0 }), [0, 1])).toEqual([2, 2]);
  });

  it.each([
    [() => constantRate(-1), /rate is -1/],
    [() => constantRate(Number.NaN), /rate is NaN/],
    [() => stepDecay({ rate: 1, every: 0 }), /every is 0/],
    [() => stepDecay({ rate: 1, at: [5, 5] }), /at is 5, 5; it must rise/],
    [() => cosine({ rate: 1, updates: 1.5 }), /updates is 1.5/],
    [() => warmUp(constantRate(1), { updates: -1 }), /updates is -1/],
  ])("refuse options (%#)", (call, message) => {
    expect(call).toThrow(OptionError);
    expect(call).toThrow(message);
  });
});
