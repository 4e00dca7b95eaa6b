import { describe, expect, it } from "vitest";
import { BoundedCache } from "../../src/data/bounded-cache.js";
import { Limiter } from "../../src/data/limiter.js";

describe("Limiter", () => {
  it("runs so many tasks at once, in order, and goes on after a failure", async () => {
    const limiter = new Limiter(3);
    const started: number[] = [];
    let running = 0;
    let most = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        limiter.run(async () => {
          started.push(i);
          most = Math.max(most, ++running);
          await new Promise((resolve) => setTimeout(resolve, i % 4));
          running--;
          if (i % 5 === 0) throw new Error(`task ${i}`);
          return i;
        }),
      ),
    );
    expect(most).toBe(3);
    expect(started).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(results.filter(({ status }) => status === "rejected").length).toBe(4);
    expect(results[7]).toEqual({ status: "fulfilled", value: 7 });
  });
});

describe("BoundedCache", () => {
  it("keeps entries until their bytes reach the bound", () => {
    const cache = new BoundedCache<string>(10);
    cache.offer("a", "first", 6);
    cache.offer("a", "other", 1);
    cache.offer("b", "too large", 5);
    cache.offer("c", "fits", 4);
    cache.offer("d", "full", 1);
    expect(["a", "b", "c", "d"].map((key) => cache.get(key))).toEqual([
      "first",
      undefined,
      "fits",
      undefined,
    ]);
  });
});
