import { readFile } from "node:fs/promises";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors } from "../../src/formats/safetensors.js";
import { networkInputs } from "../suite/network-inputs.js";
import type { NetworkWork } from "../suite/work.js";
import type { PrepareRequest } from "./serve.js";

/** Values of a tensor. */
export interface PeerTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What a library in JavaScript works on. */
export interface PeerInputs {
  readonly work: NetworkWork;
  /** Weights by their PyTorch names. */
  readonly weights: ReadonlyMap<string, PeerTensor>;
  /** [N, C, H, W] */
  readonly x: PeerTensor;
  /** One label an image, as the classes' shares [N, K]. */
  readonly y: PeerTensor;
}

const classes = 10;

/** Reads the files of SE-ResNet-20, the only network that these contestants have. @throws Error for other work */
export async function readPeerInputs({ work, files }: PrepareRequest): Promise<PeerInputs> {
  if (work.kind !== "network" || work.network !== "se-resnet-20")
    throw new Error("only SE-ResNet-20 is written for it");
  const { tensors } = readSafetensors(await readFile(files!.weights));
  const weights = new Map<string, PeerTensor>();
  for (const [name, tensor] of tensors) {
    const { dtype, shape, data } = toHostTensor(tensor, name);
    if (dtype === "float32") weights.set(name, { shape, data: data as Float32Array });
  }
  const { x, y } = networkInputs(work);
  const shares = new Float32Array(y.data.length * classes);
  for (const [index, label] of y.data.entries()) shares[index * classes + Number(label)] = 1;
  return {
    work,
    weights,
    x: { shape: x.shape, data: x.data as Float32Array },
    y: { shape: [y.data.length, classes], data: shares },
  };
}
