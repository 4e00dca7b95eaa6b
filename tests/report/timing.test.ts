import { describe, expect, it } from "vitest";
import { interleaved, spreadOf } from "../../src/report/timing.js";

describe("timing", () => {
  it("gives median, least and most", () => {
    expect(spreadOf([5, 1, 9])).toEqual({ median: 5, least: 1, most: 9 });
    expect(spreadOf([7])).toEqual({ median: 7, least: 7, most: 7 });
  });

  it("warms each contestant up, then goes round and round", async () => {
    const order: string[] = [];
    const contestants = ["a", "b"].map((name) => ({
      name,
      run: async () => {
        order.push(name);
      },
    }));
    const times = await interleaved(contestants, { rounds: 3, warmUps: 2 });
    expect(order.join("")).toBe("aabbababab");
    expect([...times.keys()]).toEqual(["a", "b"]);
  });
});
