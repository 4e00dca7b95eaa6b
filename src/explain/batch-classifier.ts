import { elementCount, type HostTensor } from "../base/dtype.js";
import { trace } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { type CompileOptions, compile, type Executable } from "../runtime/executable.js";
import { forwardPass, requireLogits } from "./probe.js";
import { rowOf, softmax } from "./scores.js";
import type { ExplainableModel, ExplainOptions } from "./types.js";

/** A classifier that scores many variants of an image, several at a time. */
export class BatchClassifier {
  readonly #executable: Executable;
  readonly #imageShape: readonly number[];
  readonly #batchSize: number;

  private constructor(executable: Executable, imageShape: readonly number[], batchSize: number) {
    this.#executable = executable;
    this.#imageShape = imageShape;
    this.#batchSize = batchSize;
  }

  /** @param imageShape [C, H, W]  @throws OptionError for a network that is no classifier */
  static async create(
    model: ExplainableModel,
    imageShape: readonly number[],
    options: CompileOptions & { readonly batchSize: number },
  ): Promise<BatchClassifier> {
    const { batchSize, ...compileOptions } = options;
    const classify = (x: Tensor) => requireLogits(forwardPass(model, x, {}));
    const graph = trace(classify, { shape: [batchSize, ...imageShape] }, { model });
    return new BatchClassifier(await compile(graph, compileOptions), imageShape, batchSize);
  }

  /**
   * The logits of each image.
   * @param fill writes the image of an index
   */
  async logits(count: number, fill: (index: number, image: Float32Array) => void): Promise<Float32Array[]> {
    const size = elementCount(this.#imageShape);
    const rows: Float32Array[] = [];
    for (let first = 0; first < count; first += this.#batchSize) {
      const data = new Float32Array(this.#batchSize * size);
      const filled = Math.min(this.#batchSize, count - first);
      for (let at = 0; at < filled; at++) fill(first + at, data.subarray(at * size, (at + 1) * size));
      const x: HostTensor = { dtype: "float32", shape: [this.#batchSize, ...this.#imageShape], data };
      const { outputs } = await this.#executable.run({ x });
      for (let at = 0; at < filled; at++) rows.push(rowOf(outputs.y!, at));
    }
    return rows;
  }

  async close(): Promise<void> {
    await this.#executable.close();
  }
}

/** The score of a class: its logit or its probability. */
export function scoreOf(logits: Float32Array, label: number, kind: ExplainOptions["score"]): number {
  return kind === "probability" ? softmax(logits)[label]! : logits[label]!;
}
