import { describe, expect, it } from "vitest";
import { didYouMean, nearest } from "../../src/base/suggestion.js";

const known = ["se", "cbam", "ccnet", "danet", "danet-position", "squeeze"];

describe("didYouMean", () => {
  it("finds slips of the keyboard", () => {
    expect(nearest("cabm", known)).toEqual(["cbam"]);
    expect(nearest("cnet", known)[0]).toBe("ccnet");
    expect(nearest("CBAM", known)).toEqual(["cbam"]);
    expect(didYouMean("danett", known)).toContain("did you mean danet");
  });

  it("finds names that hold what was typed", () => {
    expect(nearest("position", known)).toEqual(["danet-position"]);
  });

  it("names all where none is near", () => {
    expect(didYouMean("transformer", known)).toBe(`known are ${known.join(", ")}`);
    expect(nearest("nonsense", ["se", "stn"])).toEqual([]);
  });
});
