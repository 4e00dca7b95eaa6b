import { describe, expect, it } from "vitest";
import { networks } from "../../bench/suite/networks.js";
import { allRows, isKind, selectRows } from "../../bench/suite/rows.js";
import { mechanismClasses } from "../../src/attention/catalogue.js";
import { OptionError } from "../../src/base/errors.js";

const rows = allRows({ quick: false });
const ids = (pattern: string) => selectRows(rows, pattern).map(({ id }) => id);

describe("rows of the benchmark", () => {
  it("have names of their own", () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length);
  });

  it("hold every mechanism of the catalogue but DETR's loss, forward and with gradients", () => {
    const measured = rows.flatMap((row) => (isKind(row, "mechanism") ? [row.work] : []));
    for (const { about } of mechanismClasses()) {
      const passes = measured.filter(({ mechanism }) => mechanism === about.id).map(({ pass }) => pass);
      expect(passes, about.id).toEqual(about.id === "detr-loss" ? [] : ["forward", "gradients"]);
    }
  });

  it("hold every network", () => {
    const measured = new Set(rows.flatMap((row) => (isKind(row, "network") ? [row.work.network] : [])));
    expect([...measured].sort()).toEqual(Object.keys(networks).sort());
  });

  it("are as large as they say, and small in a quick run", () => {
    const shapes = (quick: boolean) =>
      allRows({ quick }).flatMap((row) => (isKind(row, "network") ? [row.work.shape] : []));
    expect(shapes(false)).toContainEqual([64, 3, 32, 32]);
    expect(Math.max(...shapes(true).map(([batch]) => batch))).toBe(2);
  });

  it("are selected by patterns", () => {
    expect(ids("inference/se-resnet-50/*")).toEqual([
      "inference/se-resnet-50/224/1",
      "inference/se-resnet-50/224/8",
    ]);
    expect(ids("mechanism/se/*, build/se-resnet-20/*")).toEqual([
      "build/se-resnet-20/32/64",
      "mechanism/se/forward",
      "mechanism/se/gradients",
    ]);
    expect(selectRows(rows, undefined)).toEqual(rows);
    expect(() => ids("training/*,mechanism/sex/*")).toThrow(OptionError);
  });
});
