import { describe, expect, it } from "vitest";
import type { SelectiveKernel } from "../../src/attention/branch/sk.js";
import { mechanisms } from "../../src/attention/catalogue.js";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import { channelOptions, exampleRequirements } from "../../src/attention/channel-options.js";
import { FoveaError, OptionError, ShapeError } from "../../src/base/errors.js";
import { modelParts, namedVariables, parameterCount, trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { ModelOptions } from "../../src/models/network.js";
import * as models from "../../src/models/registry.js";
import { residualNetworks } from "../../src/models/residual-networks.js";

/** The module at a path of a network. */
function at(name: models.ModelName, attention: string, path: string): unknown {
  const model = models.create(name, { attention } as ModelOptions);
  trace(model, { shape: [2, 3, 16, 16] });
  return [...modelParts(model)].find(([, found]) => found === path)?.[0];
}

/** Height and width that a network takes; small where it takes any. */
function sizeFor({ defaults, imageSize }: models.ModelInfo): number {
  return "imageSize" in defaults ? imageSize : 32;
}

/** Options without which a mechanism puts out more than a feature map, or a smaller one. */
const special: Readonly<Record<string, object>> = {
  encnet: { seLoss: false },
  "dynamic-conv": { padding: 1 },
};

/** Mechanisms that have a place in a block. */
const hosted = [
  ...["se", "eca", "gsop", "gsop-position", "srm", "gct", "fca", "encnet", "bi-attention"],
  ...[
    "non-local",
    "gc",
    "simplified-nl",
    "a2",
    "ema",
    "apnb",
    "ccnet",
    "danet-position",
    "danet-channel",
    "danet",
  ],
  ...["mixed-pooling", "strip-pooling", "ge", "sasa", "san-pairwise", "san-patchwise", "spygr"],
  ...["sk", "resnest", "cond-conv", "dynamic-conv"],
  ...["cbam", "bam", "scse", "triplet", "simam", "scnet", "coord"],
];

describe("models.create", () => {
  it("puts a mechanism with options of its own into every block", () => {
    const se = at("seresnet8", "se:reduction=2,gate=hardSigmoid", "layer3.0.se");
    expect(se).toBeInstanceOf(SqueezeExcitation);
    expect((se as SqueezeExcitation).options).toMatchObject({
      channels: 64,
      reduction: 2,
      gate: "hardSigmoid",
    });
  });

  it("tells the channels to mechanisms under the name that they have for them", () => {
    const sk = at("seresnet8", "sk", "layer2.0.se");
    expect((sk as SelectiveKernel).options).toMatchObject({ inChannels: 32 });
    expect(at("seresnet8", "simam", "layer2.0.se")).toBeDefined();
    expect(at("seresnet8", "none", "layer2.0.se")).toBeUndefined();
  });

  it.each(models.list().map(({ name }) => name))("%s takes its options and any number of images", (name) => {
    const info = models.info(name);
    const size = sizeFor(info);
    const model = models.create(name, { numClasses: 7, inChannels: 2 });
    const graph = trace(model, { shape: [batch, 2, size, size] });
    const places = info.task === "segmentation" ? [size, size] : [];
    expect([...graph.outputs.values()].map(({ shape }) => shape)).toEqual([[batch, 7, ...places]]);
    for (const tap of [...Object.values(model.features), model.lastFeatures]) {
      expect(graph.taps.get(tap)?.shape[0], tap).toBe(batch);
    }
    expect(() => trace(model, { shape: [2, 2, size, size] }, { training: true })).not.toThrow();
  });

  it.each(Object.keys(residualNetworks))("%s hosts a mechanism in every block, or none", (name) => {
    const blocksWith = (attention: "coord" | "none") => {
      const paths = [...namedVariables(models.create(name, { attention })).keys()];
      return new Set(paths.filter((path) => path.includes(".se.")).map((path) => path.split(".se.")[0]));
    };
    const blocks = [...modelParts(models.create(name)).values()].filter((path) =>
      /^layer\d+\.\d+$/.test(path),
    );
    expect([...blocksWith("coord")]).toEqual(blocks);
    expect(blocksWith("none").size).toBe(0);
  });

  it("hosts every mechanism of feature maps, and refuses the others", () => {
    const found = mechanisms().flatMap((about) => {
      const known = channelOptions(about, 1);
      const needed = Object.entries({ ...exampleRequirements(about), ...special[about.id] })
        .filter(([option]) => !(option in known))
        .map(([option, value]) => `${option}=${JSON.stringify(value)}`);
      const attention = needed.length > 0 ? `${about.id}:${needed.join()}` : about.id;
      try {
        const model = models.create("resnet18", { attention } as ModelOptions);
        trace(model, { shape: [2, 3, 128, 128] });
        return [about.id];
      } catch (error) {
        expect(error, about.id).toBeInstanceOf(FoveaError);
        return [];
      }
    });
    expect(found).toEqual(expect.arrayContaining(hosted));
  });

  it("takes the image size where positions are learned", () => {
    const model = models.create("vit_micro_patch4_32", { imageSize: [28, 20], inChannels: 1 });
    const graph = trace(model, { shape: [2, 1, 28, 20] });
    expect(graph.taps.get("blocks.5.output")?.shape).toEqual([2, 36, 96]);
    expect(() => trace(model, { shape: [2, 1, 32, 32] })).toThrow(
      "input x must be float32 [batch, 1, 28, 20]",
    );
  });

  it("takes names with hyphens, underscores or neither", () => {
    for (const name of ["mobilenet_v3_small", "mobilenet-v3-small", "mobilenetv3small"]) {
      expect(models.info(name).name).toBe("mobilenet_v3_small");
    }
    expect(models.info("u-net").name).toBe("unet");
    const small = models.create("vit-micro-patch4-32", { imageSize: 8 });
    expect(parameterCount(small)).toBe(
      parameterCount(models.create("vit_micro_patch4_32", { imageSize: 8 })),
    );
  });

  it("takes the sizes of a network that has them as options", () => {
    const narrow = parameterCount(models.create("mobilenet_v2", { widthMultiplier: 0.35 }));
    expect(narrow).toBeLessThan(parameterCount(models.create("mobilenet_v2")));
    const paths = [...namedVariables(models.create("unet", { depth: 2, upsampling: "bilinear" })).keys()];
    expect(paths.filter((path) => /^decoder\.\d\.block\.conv1/.test(path))).toHaveLength(2);
    expect(paths.filter((path) => path.includes(".up."))).toEqual([]);
    expect(() => models.create("unet", { depth: 9 })).toThrow("depth is 9");
    expect(() => models.create("unet", { upsampling: "nearest" as "bilinear" })).toThrow(
      'unet: upsampling is "nearest"',
    );
    expect(() => models.create("mobilenet-v2", { widthMultiplier: -1 })).toThrow(
      "mobilenet_v2: widthMultiplier is -1",
    );
  });

  it("refuses what is unknown or not enough", () => {
    expect(() => at("seresnet8", "sse", "")).toThrow('no mechanism "sse"; did you mean');
    expect(() => at("seresnet8", "se:reduction=0", "")).toThrow("reduction is 0; it must be number > 0");
    expect(() => at("seresnet8", "stc", "")).toThrow("frames is missing");
    expect(() => models.info("resnet9000")).toThrow(OptionError);
    expect(() => models.create("resnet19")).toThrow('no model "resnet19"; did you mean resnet18');
    expect(() => models.create("toString")).toThrow('no model "toString"');
  });

  it("refuses options that a network does not take, and wrong values", () => {
    expect(() => models.create("vit_tiny_patch16_224", { attention: "se" })).toThrow(
      "vit_tiny_patch16_224: no option attention; the options are numClasses, inChannels, imageSize",
    );
    expect(() => models.create("resnet18", { imageSize: 64 })).toThrow("resnet18: no option imageSize");
    expect(() => models.create("resnet18", { numClasses: 0 })).toThrow(
      "resnet18: numClasses is 0; it must be integer >= 1",
    );
    expect(() => models.create("resnet18", { inChannels: 1.5 })).toThrow("inChannels is 1.5");
    expect(() => models.create("vit_micro_patch4_32", { imageSize: 30 })).toThrow("multiple of patchSize");
    expect(() => models.create("resnet18", { attention: "vit" })).toThrow(
      "attention vit does not fit into a block",
    );
    const strided = models.create("resnet18", { attention: "sk:stride=2" });
    expect(() => trace(strided, { shape: [1, 3, 64, 64] })).toThrow(ShapeError);
    expect(() => trace(strided, { shape: [1, 3, 64, 64] })).toThrow(
      "attention in a block must keep the shape, found [1, 64, 16, 16] to [1, 64, 8, 8]",
    );
  });
});

describe("models.list", () => {
  it("tells of every network what it is for and follows, by pattern and task", () => {
    expect(models.list().length).toBeGreaterThan(20);
    for (const { name, description, paper, task, imageSize, defaults } of models.list()) {
      expect(description.length, name).toBeGreaterThan(10);
      expect(paper, name).toMatch(/arXiv:\d{4}\.\d{5}/);
      expect(["classification", "segmentation"]).toContain(task);
      expect(imageSize).toBeGreaterThan(0);
      expect(defaults).toMatchObject({ numClasses: expect.any(Number), inChannels: 3 });
    }
    expect(models.list({ match: "SK*" }).map(({ name }) => name)).toEqual([
      "skresnet18",
      "skresnet34",
      "skresnet50",
    ]);
    expect(models.list({ task: "classification", match: "vit*224" })).toHaveLength(3);
    expect(models.list({ task: "segmentation" }).map(({ name }) => name)).toEqual(["unet"]);
  });

  it("hands out facts only", () => {
    expect(Object.keys(models.info("resnet18"))).toEqual([
      "name",
      "description",
      "task",
      "paper",
      "imageSize",
      "defaults",
    ]);
  });
});
