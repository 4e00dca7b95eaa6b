// Detect objects: a small DETR finds digits in scenes, each with its class and box, and shows where it looks.
//   node --import ./scripts/typescript.mjs examples/10-detr.ts          seconds: trains a little, to see that it works
//   node --import ./scripts/typescript.mjs examples/10-detr.ts --full   minutes: trains until it detects (docs/examples/detr.md);
//                                                                      a number after it sets the steps
import { ok } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import {
  adamW,
  averagePrecision,
  type Box,
  ConvNorm,
  cosine,
  crossEntropy,
  Detr,
  DetrLoss,
  encodePng,
  fit,
  type HostTensor,
  Linear,
  Loader,
  loadMnist,
  Module,
  noDecayForBiasesAndNorms,
  ops,
  parameterCount,
  run,
  type Tensor,
  warmUp,
} from "fovea";
import { attentionOverScenes, type SeenObject } from "./10-detr/picture.ts";
import { drawScene, type Scene, sceneBatch } from "./10-detr/scenes.ts";

const [mode, steps = "5000"] = process.argv.slice(2);
const full = mode === "--full";
const size = full
  ? { classifierSteps: 600, steps: Number(steps), batch: 16, scenes: 500, report: 250 }
  : { classifierSteps: 20, steps: 40, batch: 8, scenes: 16, report: 20 };
const [numClasses, features] = [10, 64];
const session = { threads: 1, spinning: false };

class Backbone extends Module {
  readonly layers = [
    new ConvNorm({ inChannels: 1, outChannels: 16, kernel: 3, stride: 2, padding: 1 }),
    new ConvNorm({ inChannels: 16, outChannels: 32, kernel: 3, stride: 2, padding: 1 }),
    new ConvNorm({ inChannels: 32, outChannels: features, kernel: 3, stride: 2, padding: 1 }),
    new ConvNorm({ inChannels: features, outChannels: features, kernel: 3, padding: 1 }),
  ];

  /** @param x [N, 1, H, W]  @returns [N, 64, H/8, W/8] */
  forward(x: Tensor): Tensor {
    return this.layers.reduce((z, layer) => ops.relu(layer.forward(z)), x);
  }
}

class Classifier extends Module {
  readonly backbone: Backbone;
  readonly fc = new Linear({ inFeatures: features, outFeatures: numClasses });

  constructor(backbone: Backbone) {
    super();
    this.backbone = backbone;
  }

  forward(x: Tensor): Tensor {
    return this.fc.forward(ops.mean(this.backbone.forward(x), { axes: [2, 3], keepDims: false }));
  }
}

class Detector extends Module {
  readonly backbone: Backbone;
  readonly detr = new Detr({
    backboneChannels: features,
    embedDim: 64,
    heads: 4,
    encoderLayers: 1,
    decoderLayers: 2,
    feedForwardDim: 128,
    normFirst: true,
    numClasses,
    numQueries: 8,
    dropout: 0,
  });

  constructor(backbone: Backbone) {
    super();
    this.backbone = backbone;
  }

  forward(x: Tensor) {
    return this.detr.forward({ features: this.backbone.forward(x) });
  }
}

const { train, test } = await loadMnist();
/** Scenes of numbers from `first` on, always the same. */
const draw = (digits: typeof train, first: number, count: number): Promise<Scene[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => drawScene(digits, first + index)));
const started = performance.now();
const elapsed = () => {
  const { user, system } = process.cpuUsage();
  const [minutes, cpu] = [(performance.now() - started) / 60_000, (user + system) / 60_000_000];
  return `${minutes.toFixed(1)} min (${cpu.toFixed(1)} min of processor time)`;
};

// As in the paper, the backbone has learned to classify before.
const backbone = new Backbone();
await fit({
  model: new Classifier(backbone),
  loss: crossEntropy,
  data: new Loader(train, { batchSize: 64 }),
  steps: size.classifierSteps,
  optimizer: adamW({ weightDecay: 0.01 }),
  schedule: cosine({ rate: 0.005 }),
  session,
});

const model = new Detector(backbone);
// Of 8 queries instead of 100 fewer find nothing: "no object" weighs more than the default 0.1, so that both sides are balanced.
const criterion = new DetrLoss({ numClasses, eosCoef: 0.3 });
const losses: number[] = [];
const lastLosses = () => losses.slice(-10).reduce((sum, loss) => sum + loss / 10, 0);
await fit({
  model,
  objective: ({ images, targetLabels, targetBoxes, targetCounts }) => {
    const predictions = model.forward(images!);
    const targets = {
      targetLabels: targetLabels!,
      targetBoxes: targetBoxes!,
      targetCounts: targetCounts!,
    };
    return { loss: criterion.forwardPadded({ ...predictions, ...targets }).loss! };
  },
  data: {
    batch: async (step) => sceneBatch(await draw(train, step * size.batch, size.batch)),
    epoch: () => 0,
  },
  steps: size.steps,
  optimizer: adamW({ weightDecay: 0.01 }),
  groups: [noDecayForBiasesAndNorms],
  schedule: warmUp(cosine({ rate: 0.002 }), { updates: size.steps / 20 }),
  clip: { norm: 1 },
  session,
  callbacks: [
    (event) => {
      if (event.type !== "step") return;
      losses.push(event.loss);
      if (event.step % size.report === 0) {
        console.log(`step ${event.step}: loss ${lastLosses().toFixed(2)}, ${elapsed()}`);
      }
    },
  ],
});

/** The values of a tensor for one sample, from `[N, ...]`; several indices lead further in. */
function part({ shape, data }: HostTensor, ...at: number[]): Float32Array {
  const inner = shape.slice(at.length).reduce((product, length) => product * length, 1);
  const place = at.reduce((sum, index, axis) => sum * shape[axis]! + index, 0);
  return (data as Float32Array).subarray(place * inner, (place + 1) * inner);
}

/** Mean over the heads of one row of a map [N, heads, rows, 64], as the 8 x 8 places. */
function look(map: HostTensor, image: number, row: number) {
  const heads = Array.from({ length: map.shape[1]! }, (_, head) => part(map, image, head, row));
  const data = heads[0]!.map((_, place) =>
    heads.reduce((sum, values) => sum + values[place]! / heads.length, 0),
  );
  return { data, shape: [8, 8] };
}

/** What the queries see in scenes, surest first. */
async function detect(scenes: readonly Scene[]): Promise<SeenObject[][]> {
  const taps = [
    "detr.transformer.decoder.layers.1.crossAttention",
    "detr.transformer.encoder.layers.0.selfAttention",
  ];
  const { outputs, taps: maps } = await run(model, sceneBatch(scenes).images!, { taps, ...session });
  const queries = Array.from({ length: outputs.predBoxes!.shape[1]! }, (_, query) => query);
  return scenes.map((_, image) =>
    queries
      .map((query): SeenObject => {
        const odds = part(outputs.predLogits!, image, query).map(Math.exp);
        const total = odds.reduce((sum, value) => sum + value, 0);
        const best = Math.max(...odds.subarray(0, numClasses));
        const box = [...part(outputs.predBoxes!, image, query)] as unknown as Box;
        const place = Math.floor(box[1] * 8) * 8 + Math.floor(box[0] * 8);
        return {
          class: odds.indexOf(best),
          score: best / total,
          box,
          decoder: look(maps[taps[0]!]!, image, query),
          encoder: look(maps[taps[1]!]!, image, place),
        };
      })
      .sort((a, b) => b.score - a.score),
  );
}

// Digits that were not trained on.
const scenes = await draw(test, 2 ** 31, size.scenes);
const seen: SeenObject[][] = [];
for (let first = 0; first < scenes.length; first += 100)
  seen.push(...(await detect(scenes.slice(first, first + 100))));
const objects = scenes.flatMap(({ labels, boxes }, image) =>
  labels.map((label, index) => ({ image, class: label, box: boxes[index]! })),
);
const detections = seen.flatMap((found, image) => found.map((object) => ({ ...object, image })));
const { mean } = averagePrecision(detections, objects);
const places = averagePrecision(
  detections.map((detection) => ({ ...detection, class: 0 })),
  objects.map((object) => ({ ...object, class: 0 })),
);
console.log(`${parameterCount(model)} parameters, ${losses.length} steps, ${elapsed()}`);
console.log(
  `average precision ${mean.toFixed(3)} at IoU 0.5 over ${scenes.length} scenes; of the boxes alone ${places.mean.toFixed(3)}`,
);

const [folder, name] = ["runs/10-detr", full ? "attention.png" : "attention-quick.png"];
mkdirSync(folder, { recursive: true });
const shown = scenes.map((scene, image) => ({
  scene,
  objects: seen[image]!.filter(({ score }) => score > 0.5),
}));
const picture = attentionOverScenes(
  shown.filter(({ scene }) => scene.labels.length > 1).slice(0, 5),
  `DETR finds digits: average precision ${mean.toFixed(2)} at IoU 0.5`,
);
writeFileSync(`${folder}/${name}`, await encodePng(picture));
console.log(`${folder}/${name} shows what it found, and where its encoder and decoder look`);

ok(lastLosses() < (full ? 0.3 : 0.9) * losses[0]!, "the loss falls");
if (full) ok(mean > 0.5, "objects are found");
