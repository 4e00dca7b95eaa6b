import type { Emitter } from "../graph/emitter.js";
import type { Tensor } from "../graph/tensor.js";

/** Operands of a call by name, and as tensors. */
export interface NamedOperands {
  readonly names: readonly string[];
  readonly inputs: readonly Tensor[];
}

/**
 * Forms that operators have in sessions of ONNX Runtime's CPU. They come with the emission of models, so that who only builds networks
 * does not carry them.
 */
export interface CpuForms {
  /** Axes in another order, which differs from that of the operand. */
  transpose(emit: Emitter, operands: NamedOperands, perm: readonly number[]): string;
  /** A matrix product. */
  product(emit: Emitter, operands: NamedOperands): string;
}

const provided = new WeakMap<Emitter, CpuForms>();

/** Gives an emitter the forms of its target. */
export function provideCpuForms(emit: Emitter, forms: CpuForms): void {
  provided.set(emit, forms);
}

/** The forms that an emitter was given; none where its target is not the CPU. */
export function cpuForms(emit: Emitter): CpuForms | undefined {
  return provided.get(emit);
}
