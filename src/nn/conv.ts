import { elementCount } from "../base/dtype.js";
import type { Tensor } from "../graph/tensor.js";
import type { Initializer, Variable } from "../graph/variable.js";
import { type ConvAttributes, conv } from "../ops/conv.js";
import { Module } from "./module.js";
import { defaultInitializer, parameter } from "./variables.js";

/** Options of a convolution layer over `kernel.length` spatial axes. */
export interface ConvOptions extends ConvAttributes {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Size of the kernel along each spatial axis. */
  readonly kernel: readonly number[];
  /** Adds a bias per output channel; true by default. */
  readonly bias?: boolean;
  /** Initial weight and bias; uniform in ±1/sqrt(fanIn) by default. */
  readonly initializer?: Initializer;
  /** Initial bias where it differs from the weight's. */
  readonly biasInitializer?: Initializer;
}

/** Convolution layer over 1 to 3 spatial axes, initialized as in PyTorch: uniform in ±1/sqrt(fanIn). */
export class Conv extends Module {
  readonly weight: Variable;
  readonly bias?: Variable;
  readonly #attributes: ConvAttributes;

  constructor(options: ConvOptions) {
    super();
    const {
      inChannels,
      outChannels,
      kernel,
      bias = true,
      initializer,
      biasInitializer,
      ...attributes
    } = options;
    const shape = [outChannels, inChannels / (attributes.groups ?? 1), ...kernel];
    const initial = initializer ?? defaultInitializer(elementCount(shape.slice(1)));
    this.weight = parameter(shape, initial);
    if (bias) this.bias = parameter([outChannels], biasInitializer ?? initial);
    this.#attributes = attributes;
  }

  /** @param x [N, inChannels, ...]  @returns [N, outChannels, ...] */
  forward(x: Tensor): Tensor {
    return conv(x, this.weight, this.bias, this.#attributes);
  }
}

/** Options of a 2-D convolution layer; a number as kernel is a square. */
export type Conv2dOptions = Omit<ConvOptions, "kernel"> & {
  readonly kernel: number | readonly [number, number];
};

/** 2-D convolution layer. */
export class Conv2d extends Conv {
  constructor({ kernel, ...options }: Conv2dOptions) {
    super({ ...options, kernel: typeof kernel === "number" ? [kernel, kernel] : kernel });
  }
}
