import { describe, expect, it } from "vitest";
import { parameterCount } from "../../src/graph/model.js";
import * as models from "../../src/models/registry.js";

const torchvision = "torchvision 0.29.2, `num_params` in the weights' metadata";
const timm = "timm 1.0.31, sum of numel() over parameters() of create_model(name)";
const timmBlocks = (base: string, layer: string) =>
  `timm 1.0.31, create_model("${base}", block_args=dict(attn_layer="${layer}"))`;
/** 3x3 convolutions 3 -> 16, then 2n of 16, 32 and 64 channels a stage, BN after each, a linear layer; table 6 rounds to 0.27, 0.46, 0.85 M. */
const cifar = "He et al. 2016, section 4.2: depth 6n + 2, option A";

const references: readonly (readonly [name: models.ModelName, count: number, source: string])[] = [
  ["resnet18", 11_689_512, torchvision],
  ["resnet34", 21_797_672, torchvision],
  ["resnet50", 25_557_032, torchvision],
  ["resnet101", 44_549_160, torchvision],
  ["resnet20", 269_722, cifar],
  ["resnet32", 464_154, cifar],
  ["resnet56", 853_018, cifar],
  ["seresnet18", 11_779_624, timm],
  ["seresnet34", 21_960_416, timm],
  ["seresnet50", 28_088_024, timm],
  ["ecaresnet18", 11_689_548, timmBlocks("resnet18", "eca")],
  ["ecaresnet50d", 25_576_350, timm],
  ["cbamresnet18", 11_777_352, timmBlocks("resnet18", "cbam")],
  ["cbamresnet50", 28_073_576, timmBlocks("resnet50", "cbam")],
  ["gcresnet18", 11_868_160, timmBlocks("resnet18", "gc")],
  ["gcresnet50", 30_622_808, timmBlocks("resnet50", "gc")],
  ["skresnet18", 11_958_056, timm],
  ["skresnet34", 22_282_376, timm],
  ["skresnet50", 25_803_160, timm],
  ["resnest14d", 10_611_688, timm],
  ["resnest26d", 17_069_448, timm],
  ["resnest50d", 27_483_240, timm],
  ["mobilenet_v2", 3_504_872, torchvision],
  ["mobilenet_v3_small", 2_542_856, torchvision],
  ["mobilenet_v3_large", 5_483_032, torchvision],
  ["vit_tiny_patch16_224", 5_717_416, timm],
  ["vit_small_patch16_224", 22_050_664, timm],
  ["vit_base_patch16_224", 86_567_656, timm],
  ["unet", 31_037_698, "milesial/Pytorch-UNet, UNet(n_channels=3, n_classes=2)"],
];

describe("parameter counts", () => {
  it.each(references)("%s has %i: %s", (name, count) => {
    expect(parameterCount(models.create(name))).toBe(count);
  });

  it.each([
    ["mobilenet_v2", 0.35, 1_677_128],
    ["mobilenet_v2", 1.4, 6_108_776],
    ["mobilenet_v3_small", 0.5, 917_264],
    ["mobilenet_v3_large", 0.75, 3_377_576],
  ] as const)("%s of width %f has %i parameters as torchvision's", (name, widthMultiplier, count) => {
    expect(parameterCount(models.create(name, { widthMultiplier }))).toBe(count);
  });

  it("of a bilinear U-Net are those of milesial/Pytorch-UNet", () => {
    expect(parameterCount(models.create("unet", { upsampling: "bilinear" }))).toBe(17_263_042);
  });

  it("of a CIFAR ResNet follow from its depth", () => {
    for (const [name, n] of [
      ["resnet20", 3],
      ["resnet32", 5],
      ["resnet56", 9],
    ] as const) {
      const conv = (from: number, to: number) => 9 * from * to + 2 * to;
      const stage = (from: number, to: number) => conv(from, to) + (2 * n - 1) * conv(to, to);
      const whole = conv(3, 16) + stage(16, 16) + stage(16, 32) + stage(32, 64) + 64 * 10 + 10;
      expect(parameterCount(models.create(name)), name).toBe(whole);
    }
  });
});
