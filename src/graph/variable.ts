import { type DType, elementCount, type HostArray } from "../base/dtype.js";
import { FoveaError, ShapeError } from "../base/errors.js";
import { variableOp } from "./leaf.js";
import { Tensor } from "./tensor.js";

/** Fills the values of a variable; `path` selects its random stream. */
export type Initializer = (out: Float32Array, context: { seed: number; path: string }) => void;

/** A leaf with a value that outlives a trace: a parameter (trained) or a buffer (updated by the forward pass). */
export class Variable extends Tensor {
  declare readonly shape: readonly number[];
  /** True for parameters, false for buffers. */
  readonly trainable: boolean;
  /** True where a state dict may lack it: settings that other implementations keep outside of theirs. */
  readonly optional: boolean;
  private readonly initializer: Initializer;
  private data: HostArray | undefined;

  constructor(options: {
    shape: readonly number[];
    trainable: boolean;
    initializer: Initializer;
    dtype?: DType;
    optional?: boolean;
  }) {
    super({
      op: variableOp,
      inputs: [],
      attributes: {},
      shape: options.shape,
      dtype: options.dtype ?? "float32",
      scope: "",
    });
    this.trainable = options.trainable;
    this.optional = options.optional ?? false;
    this.initializer = options.initializer;
  }

  get initialized(): boolean {
    return this.data !== undefined;
  }

  /** The values on the host, row-major. @throws FoveaError before they are initialized or loaded */
  get value(): HostArray {
    if (!this.data)
      throw new FoveaError("variable has no value yet: call initialize(model) or load a state dict");
    return this.data;
  }

  /** @throws ShapeError where the number of elements differs */
  set value(data: HostArray) {
    if (data.length !== elementCount(this.shape)) {
      throw new ShapeError(`variable of shape [${this.shape.join(", ")}] cannot hold ${data.length} values`);
    }
    this.data = data;
  }

  /** Gives it its initial values, unless it has some. */
  initialize(context: { seed: number; path: string }): void {
    if (this.data) return;
    const values = new Float32Array(elementCount(this.shape));
    this.initializer(values, context);
    this.data = values;
  }
}
