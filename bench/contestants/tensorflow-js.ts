import { join } from "node:path";
import { optimizer } from "../suite/optimizer.js";
import { writeResult } from "./fovea.js";
import { type PeerInputs, type PeerTensor, readPeerInputs } from "./peer-inputs.js";
import { loadPeer } from "./peer-module.js";
import { epsilon, isParameter, type Operations, seResNet20 } from "./se-resnet-20.js";
import type { Contestant, ReadyWork } from "./serve.js";

interface TfTensor {
  readonly shape: number[];
  add(other: TfTensor): TfTensor;
  sub(other: TfTensor): TfTensor;
  mul(other: TfTensor | number): TfTensor;
  reshape(shape: number[]): TfTensor;
  transpose(axes: number[]): TfTensor;
  mean(axes?: number[], keepDims?: boolean): TfTensor;
  sum(): TfTensor;
  square(): TfTensor;
  relu(): TfTensor;
  sigmoid(): TfTensor;
  matMul(other: TfTensor, transposeA: boolean, transposeB: boolean): TfTensor;
  logSoftmax(axis: number): TfTensor;
  data(): Promise<Float32Array>;
  dispose(): void;
}
interface TfVariable extends TfTensor {
  assign(value: TfTensor): void;
}
type Gradients = Record<string, TfTensor>;

/** What is used of @tensorflow/tfjs. */
interface TensorFlow {
  setBackend(name: string): Promise<boolean>;
  enableProdMode(): void;
  tensor(data: Float32Array, shape: readonly number[]): TfTensor;
  variable(value: TfTensor, trainable: boolean, name: string): TfVariable;
  tidy<T>(fn: () => T): T;
  moments(x: TfTensor, axes: number[]): { mean: TfTensor; variance: TfTensor };
  batchNorm(
    x: TfTensor,
    mean: TfTensor,
    variance: TfTensor,
    offset: TfTensor,
    scale: TfTensor,
    epsilon: number,
  ): TfTensor;
  conv2d(x: TfTensor, filter: TfTensor, stride: number, padding: number): TfTensor;
  variableGrads(fn: () => TfTensor): { value: TfTensor; grads: Gradients };
  readonly train: {
    momentum(rate: number, momentum: number): { applyGradients(gradients: Gradients): void };
  };
}

/**
 * TensorFlow.js: inference on WebAssembly, training on its CPU backend, as the one of WebAssembly has no gradient of a convolution.
 * Running statistics are left out of its training step. In Node.js it has one thread.
 * @param folder where it is installed
 */
export async function tensorFlowJs(folder: string): Promise<Contestant> {
  const { exports, version } = await loadPeer<{ default: TensorFlow }>("@tensorflow/tfjs", folder);
  const wasm = await loadPeer<{ default: { setWasmPaths(folder: string): void } }>(
    "@tensorflow/tfjs-backend-wasm",
    folder,
  );
  const tf = exports.default;
  tf.enableProdMode();
  wasm.exports.default.setWasmPaths(join(wasm.folder, "dist/"));
  return {
    versions: { tfjs: version, node: process.version },
    prepare: async (request) => {
      const inputs = await readPeerInputs(request);
      const backend = inputs.work.pass === "training" ? "cpu" : "wasm";
      if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no backend ${backend} here`);
      if (inputs.work.pass === "training") return prepareStep(tf, inputs);
      const { output, ...ready } = await preparePrediction(tf, inputs);
      await writeResult(request.files!, { dtype: "float32", shape: [inputs.x.shape[0]!, 10], data: output });
      return ready;
    },
    close: async () => undefined,
  };
}

async function preparePrediction(
  tf: TensorFlow,
  { weights, x }: PeerInputs,
): Promise<ReadyWork & { readonly output: Float32Array }> {
  const start = performance.now();
  const tensors = new Map([...weights].map(([name, tensor]) => [name, toTensor(tf, tensor)]));
  const images = toTensor(tf, x, [0, 2, 3, 1]);
  const predict = async () => {
    const logits = tf.tidy(() => seResNet20(operations(tf, false), (name) => tensors.get(name)!, images));
    const values = await logits.data();
    logits.dispose();
    return values;
  };
  const output = Float32Array.from(await predict());
  return {
    first: performance.now() - start,
    output,
    run: async () => {
      await predict();
      return undefined;
    },
    close: async () => {
      for (const tensor of tensors.values()) tensor.dispose();
    },
  };
}

async function prepareStep(tf: TensorFlow, { weights, x, y }: PeerInputs): Promise<ReadyWork> {
  const start = performance.now();
  const { momentum, weightDecay, learningRate } = optimizer;
  const variables = new Map(
    [...weights]
      .filter(([name]) => isParameter(name))
      .map(([name, tensor]) => [name, tf.variable(toTensor(tf, tensor), true, name)]),
  );
  const [images, labels] = [toTensor(tf, x, [0, 2, 3, 1]), toTensor(tf, y)];
  const sgd = tf.train.momentum(learningRate, momentum);
  // Statistics are the batch's, so the stored ones are not read.
  const value = (name: string): TfTensor => variables.get(name) ?? labels;
  const once = async () => {
    const { value: loss, grads } = tf.variableGrads(() => {
      const logits = seResNet20(operations(tf, true), value, images);
      return logits
        .logSoftmax(-1)
        .mul(labels)
        .sum()
        .mul(-1 / x.shape[0]!);
    });
    const found = { loss: (await loss.data())[0]!, grads };
    tf.tidy(() =>
      sgd.applyGradients(
        Object.fromEntries(
          Object.entries(grads).map(([name, slope]) => [
            name,
            slope.add(variables.get(name)!.mul(weightDecay)),
          ]),
        ),
      ),
    );
    loss.dispose();
    return found;
  };
  const { loss, grads } = await once();
  const first = performance.now() - start;
  const squares = await Promise.all(Object.values(grads).map((slope) => slope.square().sum().data()));
  disposeAll(grads);
  return {
    first,
    loss,
    gradientNorm: Math.sqrt(squares.reduce((total, [square]) => total + square!, 0)),
    run: async () => {
      disposeAll((await once()).grads);
      return undefined;
    },
    close: async () => {
      for (const variable of variables.values()) variable.dispose();
    },
  };
}

/** Feature maps are [N, H, W, C]. */
function operations(tf: TensorFlow, training: boolean): Operations<TfTensor> {
  return {
    conv: (x, weight, { stride, padding }) => tf.conv2d(x, weight, stride, padding),
    addBias: (x, bias) => x.add(bias),
    batchNorm: (x, { weight, bias, mean, variance }) => {
      const found = training ? tf.moments(x, [0, 1, 2]) : { mean, variance };
      return tf.batchNorm(x, found.mean, found.variance, bias, weight, epsilon);
    },
    relu: (x) => x.relu(),
    sigmoid: (x) => x.sigmoid(),
    add: (a, b) => a.add(b),
    scale: (x, gate) => x.mul(gate),
    pixelMean: (x) => x.mean([1, 2], true),
    linear: (x, weight, bias) => x.reshape([x.shape[0]!, x.shape[3]!]).matMul(weight, false, true).add(bias),
  };
}

/** Kernels [O, I, H, W] become [H, W, I, O]; other tensors keep their order unless told. */
function toTensor(tf: TensorFlow, { shape, data }: PeerTensor, order?: number[]): TfTensor {
  const axes = order ?? (shape.length === 4 ? [2, 3, 1, 0] : undefined);
  return tf.tidy(() => {
    const tensor = tf.tensor(data, shape);
    return axes ? tensor.transpose(axes) : tensor;
  });
}

function disposeAll(gradients: Gradients): void {
  for (const tensor of Object.values(gradients)) tensor.dispose();
}
