import type { InferenceSession, Tensor } from "onnxruntime-common";
import { withEmptySequence } from "../onnx/empty-sequence.js";
import { identityModel } from "./engine.js";
import type { OrtModule, TargetWriter } from "./platform.js";

const extraOutput = "fovea:nothing";

/**
 * onnxruntime-node 1.30 copies every result into new memory once it is computed, although it was given a place: all weights and all
 * optimizer state in every step of training. The copies are made in the order of the outputs, and a sequence cannot be copied: where it
 * is the first one, the run ends there, with all results in their places and an error that says so.
 * @returns undefined where nothing is copied, or where it does not go like this
 */
export async function findTargetWriter(ort: OrtModule): Promise<TargetWriter | undefined> {
  const options: InferenceSession.SessionOptions = {
    executionProviders: ["cpu"],
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
  };
  const feeds = { x: new ort.Tensor("float32", Float32Array.of(1), [1]) };
  const target = () => new ort.Tensor("float32", Float32Array.of(0), [1]);
  const model = identityModel("float32", 1);
  const arrayOf = (tensor: unknown) => (tensor as Tensor).data;
  try {
    const plain = await ort.InferenceSession.create(model, options);
    const given = target();
    const { y } = await plain.run(feeds, { y: given });
    await plain.release();
    if (arrayOf(y) === given.data) return undefined;
    const ending = await ort.InferenceSession.create(withEmptySequence(model, extraOutput), options);
    const written = target();
    const refusal = await messageOf(() => ending.run(feeds, { [extraOutput]: null, y: written }));
    await ending.release();
    return refusal !== undefined && written.data[0] === 1 ? new EndingBeforeCopies(refusal) : undefined;
  } catch {
    return undefined;
  }
}

class EndingBeforeCopies implements TargetWriter {
  readonly extraOutput = extraOutput;
  readonly #refusal: string;

  constructor(refusal: string) {
    this.#refusal = refusal;
  }

  prepare(model: Uint8Array): Uint8Array {
    return withEmptySequence(model, extraOutput);
  }

  async run(
    session: InferenceSession,
    feeds: Readonly<Record<string, Tensor>>,
    targets: Readonly<Record<string, Tensor>>,
    options?: InferenceSession.RunOptions,
  ): Promise<void> {
    try {
      await session.run(feeds, { [extraOutput]: null, ...targets }, options);
    } catch (error) {
      if (!(error instanceof Error && error.message === this.#refusal)) throw error;
    }
  }
}

async function messageOf(action: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await action();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : undefined;
  }
}
