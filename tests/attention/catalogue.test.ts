import { describe, expect, expectTypeOf, it } from "vitest";
import type { SelectiveKernel } from "../../src/attention/branch/sk.js";
import { create, type MechanismId, mechanismClass, mechanisms } from "../../src/attention/catalogue.js";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import type { SimAM } from "../../src/attention/channel-spatial/simam.js";
import { OptionError } from "../../src/base/errors.js";

// Checked by the compiler: `tsc --noEmit` reads this file.
describe("create is typed by the id", () => {
  type OptionsOf<Id extends MechanismId> = Parameters<typeof create<Id>>[1];

  it("returns the class of the id", () => {
    expectTypeOf(create("se", { channels: 16 })).toEqualTypeOf<SqueezeExcitation>();
    expectTypeOf(create("sk", { inChannels: 16 })).toEqualTypeOf<SelectiveKernel>();
    expectTypeOf(create("simam", {})).toEqualTypeOf<SimAM>();
    expect(create("se", { channels: 16 })).toBeInstanceOf(SqueezeExcitation);
  });

  it("takes the options of the id", () => {
    expectTypeOf<{ channels: number }>().toExtend<OptionsOf<"se">>();
    expectTypeOf<{ channels: number; gate: "hardSigmoid" }>().toExtend<OptionsOf<"se">>();
    expectTypeOf<OptionsOf<"se">["gate"]>().toEqualTypeOf<"sigmoid" | "hardSigmoid" | undefined>();
    expectTypeOf<OptionsOf<"cbam">["kernelSize"]>().toEqualTypeOf<number | undefined>();
  });

  it("refuses others", () => {
    expectTypeOf<{ reduction: number }>().not.toExtend<OptionsOf<"se">>();
    expectTypeOf<{ channels: string }>().not.toExtend<OptionsOf<"se">>();
    expectTypeOf<{ channels: number; gate: "relu" }>().not.toExtend<OptionsOf<"se">>();
    expectTypeOf<"sse">().not.toExtend<MechanismId>();
    expectTypeOf<string>().not.toExtend<MechanismId>();
    // The types hold at run time.
    expect(() => create("se", { reduction: 4 } as never)).toThrow(OptionError);
    expect(() => create("sse" as MechanismId, { channels: 4 } as never)).toThrow('no mechanism "sse"');
  });
});

describe("mechanisms", () => {
  const ids = (query: Parameters<typeof mechanisms>[0]) => mechanisms(query).map(({ id }) => id);

  it("filters by family, year and pattern, which together narrow", () => {
    expect(ids({ match: "cbam" })).toEqual(["cbam"]);
    expect(ids({ match: "*EXCITATION" })).toEqual(expect.arrayContaining(["se", "scse"]));
    expect(ids({ family: "branch" })).toEqual(expect.arrayContaining(["sk", "highway"]));
    expect(ids({ family: "branch", year: 2015 })).toEqual(["highway"]);
    expect(ids({ family: "branch", match: "se" })).toEqual([]);
    expect(ids({})).toHaveLength(new Set(ids({})).size);
  });

  it("finds the class of every id", () => {
    for (const about of mechanisms()) expect(mechanismClass(about.id).about).toBe(about);
  });
});
