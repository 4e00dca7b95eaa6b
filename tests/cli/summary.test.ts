import { expect, test } from "vitest";
import { parameterCount } from "../../src/graph/model.js";
import * as models from "../../src/models/registry.js";
import type { ModelSummary } from "../../src/report/model-summary.js";
import { fovea } from "./fovea.js";

test("fovea summary shows modules and operators", async () => {
  const { code, out } = await fovea("summary", "seresnet8", "--size", "32", "--depth", "1");
  expect(code).toBe(0);
  const model = models.create("seresnet8");
  expect(out).toContain(`${parameterCount(model).toLocaleString("en-US")} parameters`);
  expect(out).toMatch(/^conv1 +Conv2d +\[N, 16, 32, 32\] +432 +442 k +442 k /m);
  expect(out).not.toContain("layer1.0.conv1");
  expect(out).toMatch(/^convFilterGradient +\d+ +0 +[\d.]+ M$/m);
});

test("the figures add up", async () => {
  const { json } = await fovea(
    "summary",
    "seresnet8",
    "--size",
    "16",
    "--num-classes",
    "3",
    "--batch",
    "4",
    "--json",
  );
  const { modules, operators, batch } = json<ModelSummary & { batch: number }>();
  const [whole] = modules;
  const children = modules.filter(({ path }) => /^(conv1|bn1|layer\d\.\d|fc)$/.test(path));
  const total = (key: "parameters" | "forwardMacs" | "backwardMacs") =>
    children.reduce((sum, module) => sum + module[key], 0);
  expect(total("parameters")).toBe(whole!.parameters);
  expect(total("forwardMacs")).toBe(whole!.forwardMacs);
  expect(total("backwardMacs")).toBe(whole!.backwardMacs);
  expect(operators.reduce((sum, { forwardMacs }) => sum + forwardMacs, 0)).toBe(whole!.forwardMacs);
  expect(modules.find(({ path }) => path === "fc")).toMatchObject({
    type: "Linear",
    outputs: [[4, 3]],
    parameters: 64 * 3 + 3,
    forwardMacs: batch * 64 * 3,
    backwardMacs: 2 * batch * 64 * 3,
  });
});

test("an image that the network cannot take is refused", async () => {
  const { code, log } = await fovea("summary", "seresnet8", "--size", "big");
  expect(code).toBe(2);
  expect(log).toContain("--size is big; it must be pixels such as 56 or 56x40");
});
