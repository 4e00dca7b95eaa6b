import type { Emitter, OnnxAttributes } from "../graph/emitter.js";
import type { Call } from "../graph/operator.js";
import type { Shape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import type { FilterGradient } from "./conv-filter-gradient.js";
import type { ConvSizes, ConvWindow } from "./conv-node.js";

/** Operands of a call by name, and as tensors. */
export interface NamedOperands {
  readonly names: readonly string[];
  readonly inputs: readonly Tensor[];
}

/** A call on two tensors. */
export type PairCall = Call<[a: Tensor, b: Tensor], object>;

/** The same with its result. */
export type ResultOfPair = PairCall & { readonly output: Tensor };

/** Sizes of a transposed convolution: input [N, K, H, W], filters [K, C/groups, R, S], spatial sizes of the result. */
export interface TransposedSizes {
  readonly input: Shape;
  readonly weight: readonly number[];
  readonly outputSize: readonly number[];
}

/** Operators that pool over windows. */
export type PoolOperator = "MaxPool" | "AveragePool";

type Form<C> = (emit: Emitter, operands: readonly string[], call: C) => string | undefined;

/**
 * Forms that operators have for sessions of the CPU, in the layout of `Target.channelBlock` or as products; each is undefined where the
 * target or the sizes do not suit it. They come with the emission of models, so that who only builds networks does not carry them.
 */
export interface CpuForms {
  /** Axes in another order, which differs from that of the operand. */
  transpose(emit: Emitter, operands: NamedOperands, perm: readonly number[]): string;
  /** A matrix product. */
  product(emit: Emitter, operands: NamedOperands): string;
  /** A convolution of input, filters and perhaps a bias. */
  conv(emit: Emitter, operands: readonly string[], sizes: ConvSizes, window: ConvWindow): string | undefined;
  /**
   * A convolution with filters that are turned around: the operand holds [C, K/groups, R, S].
   * @param sizes.weight the filters as the convolution applies them: [K, C/groups, R, S]
   */
  mirroredConv(
    emit: Emitter,
    operands: readonly string[],
    sizes: ConvSizes,
    window: ConvWindow,
  ): string | undefined;
  /** A transposed convolution that is no such convolution, or has a faster form. */
  convTranspose(
    emit: Emitter,
    operands: readonly [string, string],
    sizes: TransposedSizes,
    window: ConvWindow,
  ): string | undefined;
  /** The gradient of filters; `padding` is that with which exactly the kernel's positions come out. */
  filterGradient(
    emit: Emitter,
    operands: readonly [string, string],
    problem: FilterGradient,
    padding: readonly number[],
  ): string | undefined;
  /** An element-wise node of two operands. */
  pair(emit: Emitter, onnxOp: string, operands: readonly string[], call: ResultOfPair): string;
  /** A product with values per channel. */
  readonly scale: Form<PairCall>;
  /** A sum with values per channel. */
  readonly shift: Form<ResultOfPair>;
  /** A tensor less values per channel. */
  readonly unshift: Form<PairCall>;
  /** A scale [C] and a shift [C]. */
  readonly affine: Form<Call<[x: Tensor, scale: Tensor, shift: Tensor], object>>;
  /** A mean or a sum over positions, or over positions and samples. */
  reduction(
    emit: Emitter,
    operands: readonly string[],
    call: Call<[x: Tensor], { readonly axes?: readonly number[]; readonly keepDims?: boolean }>,
    kind: "mean" | "sum",
  ): string | undefined;
  /** A pool over windows, which stand in the attributes of the plain node. */
  pool(
    emit: Emitter,
    onnxOp: PoolOperator,
    operand: string,
    input: Tensor,
    window: OnnxAttributes,
  ): string | undefined;
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

/** Emits an element-wise node of two operands. */
export function emitPair(onnxOp: string) {
  return (emit: Emitter, operands: readonly string[], call: ResultOfPair): string =>
    cpuForms(emit)?.pair(emit, onnxOp, operands, call) ?? emit.node(onnxOp, operands);
}

/** Emits a pool over windows. */
export function emitPool(
  emit: Emitter,
  onnxOp: PoolOperator,
  operand: string,
  input: Tensor,
  window: OnnxAttributes,
): string {
  return cpuForms(emit)?.pool(emit, onnxOp, operand, input, window) ?? emit.node(onnxOp, [operand], window);
}
