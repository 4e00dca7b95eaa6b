import { describe, expect, it } from "vitest";
import { namesIn, resolveShape, resolveSize } from "../../src/attention/sizes.js";
import { OptionError } from "../../src/base/errors.js";
import { BatchSize, batch } from "../../src/graph/size.js";

const sizes = { batch: 2, height: 5, width: 7 };

describe("declared sizes", () => {
  it("are numbers, names, and sums of products", () => {
    const shape = ["batch", 3, "height*width", "height + width", "2*height-1", "height*width+1"];
    expect(resolveShape(shape, sizes)).toEqual([2, 3, 35, 12, 9, 36]);
  });

  it("take a symbolic batch in products only", () => {
    expect(resolveSize("batch", { batch })).toBe(batch);
    expect(resolveSize("batch*height", { batch, height: 5 })).toBe(BatchSize.of(5));
    expect(() => resolveSize("batch+1", { batch })).toThrow(/"batch\+1" needs a concrete batch/);
  });

  it("refuse unknown names and other forms", () => {
    expect(() => resolveSize("heigth", sizes)).toThrow(
      /no size is given for heigth; given are batch, height/,
    );
    expect(() => resolveSize("toString", sizes)).toThrow(OptionError);
    for (const size of ["height/2", "(height)", "", "height**2"]) {
      expect(() => resolveSize(size, sizes), size).toThrow(/expected a sum of products/);
    }
  });

  it("tell their names", () => {
    expect(namesIn("2*height+width")).toEqual(["height", "width"]);
    expect(namesIn(4)).toEqual([]);
  });
});
