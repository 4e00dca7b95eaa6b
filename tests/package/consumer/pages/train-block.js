// Trains a squeeze-and-excitation block for a few steps: the same in Node.js, in a page and in a worker.
const shape = [4, 16, 6, 6];
const wave = (factor) => ({
  dtype: "float32",
  shape,
  data: Float32Array.from({ length: 4 * 16 * 6 * 6 }, (_, index) => Math.sin(factor * index)),
});

/**
 * @param fovea the package
 * @param session where it runs, such as `{ device: "wasm", threads: 2 }`
 */
export async function trainBlock(fovea, session) {
  const { adamW, initialize, meanSquaredError, run, SqueezeExcitation, supervised, Trainer } = fovea;
  const model = new SqueezeExcitation({ channels: 16, reduction: 4 });
  initialize(model, { seed: 1 });
  const trainer = await Trainer.create({
    model,
    objective: supervised({ model, loss: meanSquaredError }),
    inputs: { x: { shape }, y: { shape } },
    optimizer: adamW(),
    schedule: 0.01,
    session,
  });
  const batch = { x: wave(1), y: wave(0.7) };
  const losses = [];
  for (let step = 0; step < 5; step++) losses.push((await trainer.step(batch)).loss);
  await trainer.syncToModel();
  const { threads, placedOn } = trainer;
  await trainer.close();
  const { taps } = await run(model, batch.x, { ...session, taps: ["attention"] });
  return { losses, gates: [...taps.attention.data], threads, device: placedOn.device };
}
