/** What a library needs for SE-ResNet-20; pictures and channel vectors are laid out as the library likes. */
export interface Operations<T> {
  conv(x: T, weight: T, options: { readonly stride: number; readonly padding: number }): T;
  /** Adds a value per channel. */
  addBias(x: T, bias: T): T;
  /** With the statistics of the batch in training, else with the stored ones. */
  batchNorm(x: T, values: Readonly<Record<"weight" | "bias" | "mean" | "variance", T>>): T;
  relu(x: T): T;
  sigmoid(x: T): T;
  add(a: T, b: T): T;
  /** Feature maps times a gate per channel. */
  scale(x: T, gate: T): T;
  /** Mean over the pixels, whose axes stay with size 1. */
  pixelMean(x: T): T;
  /** x [N, C] times weight [K, C], plus bias. @param x with pixel axes of size 1 */
  linear(x: T, weight: T, bias: T): T;
}

const stages = [1, 2, 3];
const blocks = [0, 1, 2];

/**
 * SE-ResNet-20 for images of 32x32 pixels as the registry has it, in the operators of a library.
 * @param weight a tensor by its PyTorch name
 * @returns logits [N, 10]
 */
export function seResNet20<T>(ops: Operations<T>, weight: (name: string) => T, x: T): T {
  const norm = (value: T, name: string) =>
    ops.batchNorm(value, {
      weight: weight(`${name}.weight`),
      bias: weight(`${name}.bias`),
      mean: weight(`${name}.running_mean`),
      variance: weight(`${name}.running_var`),
    });
  const conv = (value: T, name: string, stride: number, padding: number) =>
    ops.conv(value, weight(`${name}.weight`), { stride, padding });
  const biased = (value: T, name: string) => ops.addBias(conv(value, name, 1, 0), weight(`${name}.bias`));
  let features = ops.relu(norm(conv(x, "conv1", 1, 1), "bn1"));
  for (const stage of stages) {
    for (const index of blocks) {
      const name = `layer${stage}.${index}`;
      const narrows = stage > 1 && index === 0;
      const hidden = ops.relu(norm(conv(features, `${name}.conv1`, narrows ? 2 : 1, 1), `${name}.bn1`));
      const residual = norm(conv(hidden, `${name}.conv2`, 1, 1), `${name}.bn2`);
      const squeezed = ops.relu(biased(ops.pixelMean(residual), `${name}.se.fc1`));
      const attended = ops.scale(residual, ops.sigmoid(biased(squeezed, `${name}.se.fc2`)));
      const shortcut = narrows
        ? norm(conv(features, `${name}.downsample.0`, 2, 0), `${name}.downsample.1`)
        : features;
      features = ops.relu(ops.add(attended, shortcut));
    }
  }
  return ops.linear(ops.pixelMean(features), weight("fc.weight"), weight("fc.bias"));
}

/** Epsilon of batch normalization. */
export const epsilon = 1e-5;

/** Whether a tensor of a state dict is trained. */
export function isParameter(name: string): boolean {
  return !/running_(mean|var)$|num_batches_tracked$/.test(name);
}
