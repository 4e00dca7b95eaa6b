import { ShapeError } from "../base/errors.js";
import type { Tensor } from "../graph/tensor.js";
import type { Initializer, Variable } from "../graph/variable.js";
import { slice } from "../ops/shape.js";
import { Module } from "./module.js";
import { normal, parameter } from "./variables.js";

/** A table of learned vectors, one a row; standard normal as in PyTorch unless said otherwise. */
export class Embedding extends Module {
  readonly weight: Variable;

  constructor(options: {
    readonly count: number;
    readonly width: number;
    readonly initializer?: Initializer;
  }) {
    super();
    this.weight = parameter([options.count, options.width], options.initializer ?? normal(1));
  }

  /** The first rows of the table: [count, width]. @throws ShapeError where it has fewer */
  first(count: number): Tensor {
    const { shape } = this.weight;
    if (count > shape[0]!) throw new ShapeError(`a table of ${shape[0]} rows cannot give ${count}`);
    return slice(this.weight, { axes: [0], starts: [0], ends: [count] });
  }
}
