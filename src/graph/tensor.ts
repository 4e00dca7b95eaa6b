import type { DType } from "../base/dtype.js";
import { ShapeError } from "../base/errors.js";
import type { Operator } from "./operator.js";
import { checkSizes, formatShape, normalizeAxis, type Shape } from "./size.js";

let created = 0;

/** A symbolic tensor: one immutable node of a graph. It has a type and no values. */
export class Tensor {
  /** Order of creation: inputs always have a smaller id than what is computed from them. */
  readonly id: number = created++;
  readonly op: Operator;
  readonly inputs: readonly Tensor[];
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly shape: Shape;
  readonly dtype: DType;
  /** Path of the module that made it; empty outside of modules. */
  readonly scope: string;

  /** @throws ShapeError for sizes that are no integers >= 1, or more than one symbolic size */
  constructor(node: {
    op: Operator;
    inputs: readonly Tensor[];
    attributes: Readonly<Record<string, unknown>>;
    shape: Shape;
    dtype: DType;
    scope: string;
  }) {
    checkSizes(node.shape);
    this.op = node.op;
    this.inputs = node.inputs;
    this.attributes = node.attributes;
    this.shape = node.shape;
    this.dtype = node.dtype;
    this.scope = node.scope;
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Size of an axis as a number. @throws ShapeError where it is symbolic or the axis does not exist */
  size(axis: number): number {
    const size = this.shape[normalizeAxis(axis, this.rank)];
    if (typeof size !== "number") {
      throw new ShapeError(
        `size(${axis}) of ${formatShape(this.shape)} needs a concrete batch, found ${size}`,
      );
    }
    return size;
  }

  toString(): string {
    return `${this.op.opName}${formatShape(this.shape)}`;
  }
}
