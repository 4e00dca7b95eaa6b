import { expect, it } from "vitest";
import { lastCamTap } from "../../src/explain/cam-features.js";
import * as models from "../../src/models/registry.js";

it.each([
  ["resnet18", 64, "layer4.1.output"],
  ["resnet18", 28, "layer3.1.output"],
  ["seresnet8", 28, "layer3.0.output"],
  ["mobilenet_v3_small", 64, "head"],
  ["mobilenet_v3_small", 28, "features.8.output"],
  ["vit_micro_patch4_32", 32, "blocks.5.input"],
] as const)("%s with images of %i pixels a side looks at %s", (name, side, tap) => {
  expect(lastCamTap(models.create(name), [3, side, side])).toBe(tap);
});

it("names the images that leave no place", () => {
  expect(() => lastCamTap(models.create("resnet18"), [3, 1, 1])).toThrow(
    "no features of images [3, 1, 1] have more than one place",
  );
});
