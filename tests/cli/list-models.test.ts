import { describe, expect, it } from "vitest";
import type { NetworkFacts } from "../../src/cli/list/networks.js";
import { runCommandLine } from "../../src/cli/program.js";
import * as models from "../../src/models/registry.js";

async function fovea(...args: string[]) {
  const [out, log]: [string[], string[]] = [[], []];
  const code = await runCommandLine(args, {
    result: (text) => out.push(text),
    log: (text) => log.push(text),
  });
  return { code, out: out.join("\n"), log: log.join("\n") };
}

describe("fovea list models", () => {
  it("lists every network with its cost", async () => {
    const { code, out, log } = await fovea("list", "models");
    expect(code).toBe(0);
    const lines = out.split("\n");
    for (const { name, paper } of models.list()) {
      expect(
        lines.filter((line) => line.startsWith(`${name} `) && line.trimEnd().endsWith(paper)),
        name,
      ).toHaveLength(1);
    }
    expect(lines.find((line) => line.startsWith("resnet50 "))).toMatch(
      /25,557,032\s+4\.09 G\s+224\s+none\s+any/,
    );
    expect(lines.find((line) => line.startsWith("vit_base"))).toMatch(/86,567,656\s+17\.6 G\s+224\s+vit\s+-/);
    expect(log).toBe(`${models.list().length} networks`);
  });

  it("filters, in JSON too", async () => {
    const { code, out } = await fovea("list", "models", "--match", "SKresnet18", "--json");
    expect(code).toBe(0);
    const { models: found } = JSON.parse(out) as { models: NetworkFacts[] };
    expect(found).toEqual([
      {
        ...models.info("skresnet18"),
        parameters: 11_958_056,
        macs: expect.any(Number),
        mechanisms: ["sk"],
        hostsAttention: true,
      },
    ]);
    expect(await fovea("list", "models", "--match", "nothing*")).toEqual({
      code: 0,
      out: "",
      log: "0 networks",
    });
  });

  it("refuses another list, and a family of networks", async () => {
    const other = await fovea("list", "layers");
    expect(other).toMatchObject({ code: 2, out: "" });
    expect(other.log).toContain('no list of "layers"; known are mechanisms, models');
    const family = await fovea("list", "models", "--family", "channel");
    expect(family.code).toBe(2);
    expect(family.log).toContain("--family is for mechanisms");
  });
});
