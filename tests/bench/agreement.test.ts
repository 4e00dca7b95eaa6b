import { describe, expect, it } from "vitest";
import { compareFindings } from "../../bench/suite/agreement.js";

const output = [1, -200, 3];

describe("agreement of contestants", () => {
  it("takes differences relative to the largest value", () => {
    const { difference, problem } = compareFindings({ output: [1.02, -200, 3] }, { output });
    expect(difference).toBeCloseTo(1e-4, 8);
    expect(problem).toBeUndefined();
  });

  it("says what differs", () => {
    expect(compareFindings({ output: [1, -199, 3] }, { output }).problem).toMatch(
      /^output differs .*5\.0e-3/,
    );
    const step = { loss: 2, gradientNorm: 5 };
    expect(compareFindings({ ...step, loss: 2.001 }, step).problem).toMatch(/^loss /);
    expect(compareFindings({ ...step, gradientNorm: 5.1 }, step).problem).toMatch(/^gradientNorm /);
    expect(compareFindings(step, step)).toEqual({ difference: 0, problem: undefined });
  });

  it("refuses other sizes, missing values and values that are not finite", () => {
    for (const theirs of [{}, { output: [1, -200] }, { output: [1, -200, Number.NaN] }]) {
      expect(compareFindings(theirs, { output }).problem).toMatch(/^output differs/);
    }
    expect(compareFindings({ loss: Number.NaN }, { loss: 1 }).problem).toMatch(/^loss/);
    expect(compareFindings({ loss: 1, gradientNorm: 1 }, { loss: 1 }).problem).toMatch(/^gradientNorm/);
  });
});
