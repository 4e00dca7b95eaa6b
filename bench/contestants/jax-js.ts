import { optimizer } from "../suite/optimizer.js";
import { writeResult } from "./fovea.js";
import { type PeerInputs, type PeerTensor, readPeerInputs } from "./peer-inputs.js";
import { loadPeer } from "./peer-module.js";
import { epsilon, isParameter, type Operations, seResNet20 } from "./se-resnet-20.js";
import type { Contestant, ReadyWork } from "./serve.js";

/** An array of jax-js. Operators take what they are given; `ref` keeps it for another use. */
interface JaxArray {
  readonly ref: JaxArray;
  readonly shape: number[];
  add(other: JaxArray | number): JaxArray;
  sub(other: JaxArray | number): JaxArray;
  mul(other: JaxArray | number): JaxArray;
  div(other: JaxArray | number): JaxArray;
  reshape(shape: number[]): JaxArray;
  transpose(axes?: number[]): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}
type Arrays = Record<string, JaxArray>;

/** What is used of @jax-js/jax. */
interface Jax {
  init(...devices: string[]): Promise<string[]>;
  defaultDevice(device: string): string;
  jit<F>(fn: F): F;
  valueAndGrad(fn: (parameters: Arrays) => JaxArray): (parameters: Arrays) => [JaxArray, Arrays];
  blockUntilReady<T>(value: T): Promise<T>;
  readonly numpy: {
    array(values: Float32Array, options: { shape: number[] }): JaxArray;
    sum(x: JaxArray): JaxArray;
    mean(x: JaxArray, axes?: number[], options?: { keepdims: boolean }): JaxArray;
    sqrt(x: JaxArray): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
  };
  readonly nn: {
    relu(x: JaxArray): JaxArray;
    sigmoid(x: JaxArray): JaxArray;
    logSoftmax(x: JaxArray, axis: number): JaxArray;
  };
  readonly lax: {
    convGeneralDilated(x: JaxArray, weight: JaxArray, strides: number[], padding: number[][]): JaxArray;
  };
}

/** jax-js on its WebAssembly backend; running statistics are left out of its training step. @param folder where it is installed */
export async function jaxJs(folder: string): Promise<Contestant> {
  const { exports: jax, version } = await loadPeer<Jax>("@jax-js/jax", folder);
  const devices = await jax.init("wasm");
  if (!devices.includes("wasm"))
    throw new Error(`jax-js has no device wasm here; it has ${devices.join(", ")}`);
  jax.defaultDevice("wasm");
  return {
    versions: { "jax-js": version, node: process.version },
    prepare: async (request) => {
      const inputs = await readPeerInputs(request);
      if (inputs.work.pass === "training") return prepareStep(jax, inputs);
      const { output, ...ready } = await preparePrediction(jax, inputs);
      await writeResult(request.files!, { dtype: "float32", shape: [inputs.x.shape[0]!, 10], data: output });
      return ready;
    },
    close: async () => undefined,
  };
}

async function preparePrediction(
  jax: Jax,
  { weights, x }: PeerInputs,
): Promise<ReadyWork & { readonly output: Float32Array }> {
  const start = performance.now();
  const tensors = toArrays(jax, weights);
  const images = toArray(jax, x);
  const predict = jax.jit((given: Arrays, image: JaxArray) =>
    seResNet20(operations(jax, false), (name) => given[name]!, image),
  );
  const output = Float32Array.from(await predict(refs(tensors), images.ref).data());
  return {
    first: performance.now() - start,
    output,
    run: async () => {
      await predict(refs(tensors), images.ref).data();
      return undefined;
    },
    close: async () => disposeAll(tensors),
  };
}

async function prepareStep(jax: Jax, { weights, x, y }: PeerInputs): Promise<ReadyWork> {
  const start = performance.now();
  const { momentum, weightDecay, learningRate } = optimizer;
  let parameters = toArrays(jax, new Map([...weights].filter(([name]) => isParameter(name))));
  let velocities = toArrays(
    jax,
    new Map(
      [...weights]
        .filter(([name]) => isParameter(name))
        .map(([name, { shape, data }]) => [name, { shape, data: new Float32Array(data.length) }]),
    ),
  );
  const [images, labels] = [toArray(jax, x), toArray(jax, y)];
  const [count] = x.shape;
  const step = jax.jit((given: Arrays, moving: Arrays, image: JaxArray, shares: JaxArray) => {
    const [loss, slopes] = jax.valueAndGrad((trained) => {
      // Statistics are the batch's, so the stored ones are not read.
      const logits = seResNet20(operations(jax, true), (name) => trained[name] ?? image, image);
      return jax.numpy.sum(jax.nn.logSoftmax(logits, 1).mul(shares.ref)).mul(-1 / count!);
    })(refs(given));
    const squares = Object.values(slopes).map((slope) => jax.numpy.sum(slope.ref.mul(slope.ref)));
    const norm = jax.numpy.sqrt(squares.reduce((total, square) => total.add(square)));
    const nextVelocities: Arrays = {};
    const nextParameters: Arrays = {};
    for (const [name, slope] of Object.entries(slopes)) {
      const decayed = slope.add(given[name]!.ref.mul(weightDecay));
      const velocity = moving[name]!.ref.mul(momentum).add(decayed);
      nextVelocities[name] = velocity.ref;
      nextParameters[name] = given[name]!.ref.sub(velocity.mul(learningRate));
    }
    return { loss, norm, parameters: nextParameters, velocities: nextVelocities };
  });
  const once = async () => {
    const result = step(parameters, velocities, images.ref, labels.ref);
    ({ parameters, velocities } = result);
    const [loss, norm] = [(await result.loss.data())[0]!, (await result.norm.data())[0]!];
    await jax.blockUntilReady(parameters);
    return { loss, norm };
  };
  const { loss, norm } = await once();
  return {
    first: performance.now() - start,
    loss,
    gradientNorm: norm,
    run: async () => {
      await once();
      return undefined;
    },
    close: async () => {
      disposeAll(parameters);
      disposeAll(velocities);
    },
  };
}

/** Inside a traced function nothing has to be given back, so every use takes a reference. */
function operations({ numpy, nn, lax }: Jax, training: boolean): Operations<JaxArray> {
  const channels = (vector: JaxArray) => vector.ref.reshape([1, -1, 1, 1]);
  const pixels = [0, 2, 3];
  const keepdims = { keepdims: true };
  return {
    conv: (x, weight, { stride, padding }) =>
      lax.convGeneralDilated(
        x.ref,
        weight.ref,
        [stride, stride],
        [
          [padding, padding],
          [padding, padding],
        ],
      ),
    addBias: (x, bias) => x.ref.add(channels(bias)),
    batchNorm: (x, { weight, bias, mean, variance }) => {
      const center = training ? numpy.mean(x.ref, pixels, keepdims) : channels(mean);
      const centered = x.ref.sub(center);
      const spread = training
        ? numpy.mean(centered.ref.mul(centered.ref), pixels, keepdims)
        : channels(variance);
      return centered
        .div(numpy.sqrt(spread.add(epsilon)))
        .mul(channels(weight))
        .add(channels(bias));
    },
    relu: (x) => nn.relu(x.ref),
    sigmoid: (x) => nn.sigmoid(x.ref),
    add: (a, b) => a.ref.add(b.ref),
    scale: (x, gate) => x.ref.mul(gate.ref),
    pixelMean: (x) => numpy.mean(x.ref, [2, 3], keepdims),
    linear: (x, weight, bias) =>
      numpy.matmul(x.ref.reshape([x.shape[0]!, -1]), weight.ref.transpose([1, 0])).add(bias.ref),
  };
}

function toArray({ numpy }: Jax, { shape, data }: PeerTensor): JaxArray {
  return numpy.array(data, { shape: [...shape] });
}

function toArrays(jax: Jax, tensors: ReadonlyMap<string, PeerTensor>): Arrays {
  return Object.fromEntries([...tensors].map(([name, tensor]) => [name, toArray(jax, tensor)]));
}

function refs(arrays: Arrays): Arrays {
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, array.ref]));
}

function disposeAll(arrays: Arrays): void {
  for (const array of Object.values(arrays)) array.dispose();
}
