import { describe, expect, it } from "vitest";
import * as z from "zod/mini";
import { mechanism } from "../../src/attention/mechanism.js";
import { describeOptions, formatType } from "../../src/attention/option-description.js";
import { dropRate, flag, oddSize, optional, positive, size } from "../../src/attention/options.js";

const options = z
  .strictObject({
    channels: size,
    kernel: z._default(oddSize, 7),
    reduction: z._default(positive, 16),
    width: optional(size),
    pools: z._default(z.array(size).check(z.minLength(1)), [1, 2]),
    grid: optional(z.tuple([size, size])),
    bias: flag(true),
    drop: z._default(dropRate, 0),
    gate: z._default(z.enum(["sigmoid", "softmax"]), "sigmoid"),
    mode: z._default(z.union([z.enum(["auto"]), size]), "auto"),
  })
  .check(z.refine((o) => o.channels >= o.kernel, { error: "channels >= kernel", path: ["kernel"] }));

class Example extends mechanism({
  id: "example",
  name: "Example",
  family: "channel",
  year: 2020,
  paper: "A: B, C",
  formula: "x",
  options,
  maps: () => ({}),
  parameters: () => 0,
  macs: () => 0,
  refused: [],
  examples: [{ options: { channels: 8 }, sizes: {} }],
}) {}

describe("describeOptions", () => {
  it("reads types, rules and defaults from the schema", () => {
    const described = Object.fromEntries(describeOptions(options).map((option) => [option.name, option]));
    expect(
      Object.fromEntries(Object.entries(described).map(([name, { type }]) => [name, formatType(type)])),
    ).toEqual({
      channels: "integer >= 1",
      kernel: "integer >= 1, must be odd",
      reduction: "number > 0",
      width: "integer >= 1",
      pools: "list of integer >= 1, at least 1 value",
      grid: "list of integer >= 1, 2 values",
      bias: "boolean",
      drop: "number >= 0, < 1",
      gate: '"sigmoid" | "softmax"',
      mode: '"auto" | integer >= 1',
    });
    expect(described.channels).toMatchObject({ required: true, nullable: false });
    expect(described.width).toMatchObject({ required: false, nullable: true });
    expect(described.width).not.toHaveProperty("default");
    expect(described.kernel).toMatchObject({ required: false, nullable: false, default: 7 });
    expect(described.drop?.type).toMatchObject({
      minimum: { value: 0, exclusive: false },
      maximum: { value: 1, exclusive: true },
    });
  });
});

describe("refused options", () => {
  it.each<[unknown, string]>([
    [{}, "example: channels is missing; it must be integer >= 1"],
    [{ channels: Number.NaN }, "example: channels is NaN; it must be integer >= 1"],
    [{ channels: 8, kernel: 4 }, "example: kernel is 4: must be odd"],
    [{ channels: 4 }, "example: kernel is 7 (default): channels >= kernel"],
    [
      { channels: 8, pools: [1, 0] },
      "example: pools[1] is 0; pools must be list of integer >= 1, at least 1 value",
    ],
    [{ channels: 8, pools: [Number.NaN, 1] }, "example: pools[0] is NaN; pools must be"],
    [{ channels: 8, width: 0 }, "example: width is 0; it must be integer >= 1 or null"],
    [{ channels: 8, gate: "relu" }, 'example: gate is "relu"; it must be "sigmoid" | "softmax"'],
    [{ channels: 8, chanels: 8 }, "example: no option chanels; the options are channels, kernel,"],
    [
      { channels: 8, drop: 1, bias: 0 },
      "bias is 0; it must be boolean; drop is 1; it must be number >= 0, < 1",
    ],
    [3, "example: options are 3; they must be an object of channels, kernel,"],
    [null, "example: options are null; they must be an object of"],
  ])("%j", (given, message) => {
    expect(() => new Example(given as never)).toThrow(message);
  });
});
