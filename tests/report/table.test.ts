import { describe, expect, it } from "vitest";
import { markdownTable, table } from "../../src/report/table.js";
import { stripEscapes, textWidth } from "../../src/report/text-width.js";

describe("text width", () => {
  it.each([
    ["abc", 3],
    ["", 0],
    ["注意力", 6],
    ["ｆｕｌｌ", 8],
    ["한국어", 6],
    ["e\u0301", 1],
    ["\u001b[1;31mred\u001b[0m", 3],
    ["\u001b]8;;https://example.org\u0007link\u001b]8;;\u0007", 4],
    ["👩‍🔬", 2],
    ["✔", 1],
    ["…─", 2],
    ["a\u200bb", 2],
  ])("%j takes %d columns", (text, width) => expect(textWidth(text)).toBe(width));
});

describe("table", () => {
  const columns = ["mechanism", "name", "parameters", { header: "top-1", align: "right" as const }];
  const rows = [
    ["se", "Squeeze-and-Excitation", "1.2 k", "99.27 %"],
    ["cbam", "注意力", "64.5 M", "n/a"],
    ["eca", null, 5, 98],
  ];

  it("aligns texts left, numbers right, and wide characters by their columns", () => {
    expect(table(columns, rows, { color: false })).toBe(
      [
        "mechanism  name                    parameters    top-1",
        "─────────  ──────────────────────  ──────────  ───────",
        "se         Squeeze-and-Excitation       1.2 k  99.27 %",
        "cbam       注意力                      64.5 M      n/a",
        "eca                                         5       98",
      ].join("\n"),
    );
  });

  it("colours only where asked, without changing the layout", () => {
    const colored = table(columns, rows, { color: true, indent: 2 });
    expect(colored).toContain("\u001b[1m");
    expect(stripEscapes(colored)).toBe(table(columns, rows, { color: false, indent: 2 }));
    expect(
      stripEscapes(colored)
        .split("\n")
        .every((line) => line.startsWith("  ")),
    ).toBe(true);
  });

  it("keeps cells that carry colours aligned, and cells on one line", () => {
    const text = table(
      ["a", "b"],
      [
        ["\u001b[32mok\u001b[39m", "x"],
        ["fails", "two\nlines"],
      ],
      { color: false },
    );
    expect(stripEscapes(text).split("\n").slice(2)).toEqual(["ok     x", "fails  two lines"]);
  });

  it("writes Markdown with alignment and escaped bars", () => {
    expect(
      markdownTable(
        ["op", "n"],
        [
          ["a|b", 1],
          ["`mul`", 25],
        ],
      ),
    ).toBe(["| op    |   n |", "| ----- | --: |", "| a\\|b  |   1 |", "| `mul` |  25 |"].join("\n"));
  });

  it("shows a table without rows and refuses a row that does not fit", () => {
    expect(table(["a"], [], { color: false })).toBe("a\n─");
    expect(() => table(["a", "b"], [["x", "y"], ["x"]])).toThrow(/row 1: expected 2 cells; found 1/);
  });
});
