// Train a small residual network with Squeeze-and-Excitation on some of MNIST's digits, then see which channels it uses.
//   node --import ./scripts/typescript.mjs examples/02-train-digits.ts
import { adamW, cosine, crossEntropy, fit, Loader, loadMnist, models, run, sliceDataset } from "fovea";

const { train, test } = await loadMnist();
const model = models.create("seresnet8", { inChannels: 1 });

const { evaluation } = await fit({
  model,
  loss: crossEntropy,
  data: new Loader(sliceDataset(train, 0, 1920), { batchSize: 64 }),
  validation: new Loader(sliceDataset(test, 0, 500), { batchSize: 250 }),
  optimizer: adamW({ weightDecay: 0.01 }),
  schedule: cosine({ rate: 0.005 }),
  epochs: 3,
  callbacks: [
    (event) => {
      if (event.type === "evaluation") {
        const { loss, accuracy } = event.values;
        console.log(
          `epoch ${event.epoch}: loss ${loss!.toFixed(3)}, accuracy ${(100 * accuracy!).toFixed(1)} %`,
        );
      }
    },
  ],
});
console.log(`accuracy ${(100 * evaluation.accuracy!).toFixed(1)} % of 500 test images`);

const { x } = await new Loader(test, { batchSize: 4, shuffle: false }).batch(0);
const { taps } = await run(
  model,
  { dtype: "float32", shape: [4, 1, 28, 28], data: x },
  { taps: ["*.attention"] },
);
for (const [path, { shape, data }] of Object.entries(taps)) {
  const values = Array.from(data, Number);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  console.log(
    `${path} [${shape.join(", ")}]: gates ${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)}, mean ${mean.toFixed(2)}`,
  );
}
