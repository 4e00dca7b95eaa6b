// A vision transformer reads digits from 49 patches, and shows what its class token attends to: block by block, head by head, and followed
// through all blocks (rollout).
//   node --import ./scripts/typescript.mjs examples/09-vision-transformer.ts          seconds: trains a little, to see that it works
//   node --import ./scripts/typescript.mjs examples/09-vision-transformer.ts --full   minutes: trains until it reads
//                                                              (docs/examples/vision-transformer.md); a number after it sets the steps
import { ok } from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import {
  adamW,
  cosine,
  crossEntropy,
  encodePng,
  fit,
  initialize,
  Loader,
  loadMnist,
  namedParameters,
  noDecayForBiasesAndNorms,
  parameterCount,
  randomShift,
  saveWeights,
  sliceDataset,
  VisionTransformer,
  warmUp,
} from "fovea";
import { type Look, lookAt, onStrokes, strokePatches } from "./09-vision-transformer/look.ts";
import { attentionOfDigits } from "./09-vision-transformer/picture.ts";

const [mode, steps = "4000"] = process.argv.slice(2);
const full = mode === "--full";
const size = full
  ? { steps: Number(steps), batch: 64, tested: 10_000, report: 250, looked: 100, shown: 10 }
  : { steps: 60, batch: 32, tested: 250, report: 20, looked: 10, shown: 3 };
const session = { threads: full ? 2 : 1, spinning: false };
const [side, patchSize, embedDim] = [28, 4, 64];

const { train, test } = await loadMnist();
const tested = sliceDataset(test, 0, size.tested);
const model = new VisionTransformer({
  imageSize: side,
  patchSize,
  inChannels: 1,
  numClasses: train.classes.length,
  embedDim,
  depth: 4,
  heads: 4,
  mlpRatio: 2,
});
// The usual deviation of initial weights, 0.02, is meant for networks more than ten times as wide; here it makes for a slow start: signals
// fade in every layer, and places are hardly told apart.
initialize(model);
for (const [name, parameter] of namedParameters(model)) {
  const isWeight = name.startsWith("blocks.") && parameter.shape.length === 2;
  const deviation = name === "posEmbed" ? 0.5 : isWeight ? 1 / Math.sqrt(embedDim) : undefined;
  if (deviation === undefined) continue;
  parameter.value = (parameter.value as Float32Array).map((weight) => (weight / 0.02) * deviation);
}

const started = performance.now();
const seconds = () => `${((performance.now() - started) / 1000).toFixed(0)} s`;
const losses: number[] = [];
const lastLoss = (count: number) =>
  losses.slice(-count).reduce((sum, loss) => sum + loss, 0) / Math.min(count, losses.length);
const { evaluation } = await fit({
  model,
  loss: crossEntropy,
  data: new Loader(train, { batchSize: size.batch, augment: [randomShift({ pixels: 1 })] }),
  validation: new Loader(tested, { batchSize: 250 }),
  steps: size.steps,
  optimizer: adamW({ weightDecay: 0.05 }),
  groups: [noDecayForBiasesAndNorms],
  schedule: warmUp(cosine({ rate: 0.002 }), { updates: Math.ceil(size.steps / 10) }),
  clip: { norm: 1 },
  session,
  callbacks: [
    (event) => {
      if (event.type === "evaluation") {
        console.log(`accuracy ${(100 * event.values.accuracy!).toFixed(2)} % after ${seconds()}`);
      }
      if (event.type !== "step") return;
      losses.push(event.loss);
      if (event.step % size.report === 0) {
        console.log(`step ${event.step}: loss ${lastLoss(size.report).toFixed(3)}, ${seconds()}`);
      }
    },
  ],
});
const accuracy = evaluation.accuracy!;
const { user, system } = process.cpuUsage();
console.log(
  `${parameterCount(model)} parameters, ${losses.length} steps of ${size.batch} digits, ${seconds()}`,
);
console.log(`${((user + system) / 1e6).toFixed(0)} s of processor time in all`);
console.log(`accuracy ${(100 * accuracy).toFixed(2)} % of ${size.tested} test digits`);

const folder = `runs/09-vision-transformer${full ? "" : "-quick"}`;
mkdirSync(folder, { recursive: true });
writeFileSync(`${folder}/weights.safetensors`, saveWeights(model));

const looks = await lookAt(model, sliceDataset(test, 0, size.looked), session);
const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
const meanOf = (value: (look: Look) => number) =>
  looks.reduce((sum, look) => sum + value(look) / looks.length, 0);
const inked = meanOf((look) => strokePatches(look).filter(Boolean).length / look.rollout.data.length);
console.log(
  `strokes cross ${percent(inked)} of the patches; there lies, of the class token's attention to patches,`,
);
for (const [block, { heads }] of looks[0]!.blocks.entries()) {
  const shares = heads.map((_, head) =>
    percent(meanOf((look) => onStrokes(look, look.blocks[block]!.heads[head]!))),
  );
  console.log(`  in block ${block + 1} ${shares.join(", ")} head by head`);
}
console.log(`  in the rollout ${percent(meanOf((look) => onStrokes(look, look.rollout)))}`);

const shown = train.classes.flatMap((_, label) => looks.find((look) => look.label === label) ?? []);
const picture = attentionOfDigits(
  shown.slice(0, size.shown),
  `What a vision transformer attends to: ${(100 * accuracy).toFixed(1)} % of test digits are read`,
);
writeFileSync(`${folder}/attention.png`, await encodePng(picture));
console.log(`${folder}/attention.png shows where its class token looks`);

ok(lastLoss(10) < (full ? 0.2 : 0.95) * losses[0]!, "the loss falls");
if (full) ok(accuracy > 0.95, "digits are read");
