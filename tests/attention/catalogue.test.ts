import { readdirSync } from "node:fs";
import { describe, expect, expectTypeOf, it } from "vitest";
import type { SelectiveKernel } from "../../src/attention/branch/sk.js";
import { create, type MechanismId, mechanismClass, mechanisms } from "../../src/attention/catalogue.js";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import type { SimAM } from "../../src/attention/channel-spatial/simam.js";
import { type AnyAbout, families } from "../../src/attention/mechanism.js";
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

describe("families", () => {
  const source = new URL("../../src/attention/", import.meta.url);
  const tests = new URL("./", import.meta.url);
  const foldersOf = (url: URL) =>
    readdirSync(url, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);

  it("are the folders of their mechanisms", async () => {
    expect(families).toEqual(expect.arrayContaining(foldersOf(source)));
    const found: Record<string, string> = {};
    for (const folder of foldersOf(source)) {
      for (const file of readdirSync(new URL(`${folder}/`, source))) {
        const exported: object = await import(new URL(`${folder}/${file}`, source).href);
        for (const value of Object.values(exported)) {
          const about = (value as { about?: AnyAbout } | undefined)?.about;
          if (about) found[about.id] = folder;
        }
      }
    }
    expect(found).toEqual(Object.fromEntries(mechanisms().map(({ id, family }) => [id, family])));
  });

  it("stand together in the catalogue, in the order of the families", () => {
    const order = mechanisms().map(({ family }) => families.indexOf(family));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
  });

  it("have tests in folders of the same names, each file in the folder of what it tests", () => {
    expect(foldersOf(source)).toEqual(expect.arrayContaining(foldersOf(tests)));
    const sources = (folder: string) => readdirSync(new URL(`${folder}/`, source));
    const everywhere = foldersOf(source).flatMap(sources);
    for (const folder of foldersOf(tests)) {
      for (const file of readdirSync(new URL(`${folder}/`, tests))) {
        const tested = file.replace(".test.ts", ".ts");
        if (everywhere.includes(tested)) expect(sources(folder), file).toContain(tested);
      }
    }
  });
});
