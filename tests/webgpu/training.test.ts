import { describe, expect, it } from "vitest";
import { trainSeResNet20, trainSqueezeExcitation } from "../browser/scenarios.js";
import { useSoftwareVulkan } from "../support/chromium.js";
import { largestDifference } from "../support/difference.js";

await useSoftwareVulkan();

const steps = 30;
const imageSize = 12;

describe("training on WebGPU", () => {
  it("gives a squeeze-and-excitation block the CPU's losses and maps", async () => {
    const cpu = await trainSqueezeExcitation({ device: "cpu" }, steps);
    const gpu = await trainSqueezeExcitation({ device: "webgpu" }, steps);
    expect(gpu.placedOn.device).toBe("webgpu");
    expect(largestDifference(gpu.losses, cpu.losses)).toBeLessThan(1e-4);
    expect(largestDifference(gpu.maps, cpu.maps)).toBeLessThan(1e-4);
    expect(gpu.losses.at(-1)).toBeLessThan(gpu.losses[0]! - 0.1);
    expect(gpu.placement.fallbacks).toEqual({});
  });

  it("gives SE-ResNet-20 the CPU's losses and maps, with nothing but the labels on the CPU", async () => {
    const cpu = await trainSeResNet20({ device: "cpu" }, steps, imageSize);
    const gpu = await trainSeResNet20({ device: "webgpu" }, steps, imageSize);
    expect(largestDifference(gpu.losses, cpu.losses)).toBeLessThan(1e-4);
    expect(largestDifference(gpu.maps, cpu.maps)).toBeLessThan(1e-4);
    expect(gpu.losses.at(-1)).toBeLessThan(gpu.losses[0]! - 0.4);
    expect(Object.keys(gpu.placement.fallbacks).sort()).toEqual(["Cast", "Equal", "Reshape"]);
    expect(gpu.placement.nodes.cpu).toBeLessThan(5);
  }, 600_000);
});
