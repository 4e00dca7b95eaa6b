import type { DType } from "../base/dtype.js";
import { FoveaError, ShapeError } from "../base/errors.js";
import { constant } from "./constant.js";
import type { Emitter } from "./emitter.js";
import type { Sample } from "./sample.js";
import { BatchSize, formatShape, type Shape } from "./size.js";
import { Tensor } from "./tensor.js";
import { activeTrace, currentScope } from "./trace.js";
import { Variable } from "./variable.js";

export type Attributes = Readonly<Record<string, unknown>>;

/** Shape and dtype of a tensor. */
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** One application of an operator. */
export interface Call<I extends readonly (Tensor | undefined)[], A> {
  readonly inputs: I;
  readonly attributes: A;
}

/** What a gradient rule sees: the call, its result, and the gradient of the loss with respect to the result. */
export interface GradientCall<I extends readonly (Tensor | undefined)[], A> extends Call<I, A> {
  readonly output: Tensor;
  /** Shaped like the output; for `elementwise` operators an axis of the cotangent may be 1 (the rule's own products stretch it). */
  readonly cotangent: Tensor;
}

/** A gradient per input: a thunk that builds it, or null where none exists. */
export type Gradients<I extends readonly (Tensor | undefined)[]> = { [K in keyof I]: (() => Tensor) | null };

/** An operator in one literal: type rule, ONNX form, gradient, cost and samples. */
export interface OperatorDefinition<I extends readonly (Tensor | undefined)[], A> {
  /** Attributes in canonical form (axes from the front, defaults filled in). */
  normalize?(attributes: A, inputs: I): A;
  /** Shape and dtype of the result. @throws ShapeError */
  type(inputs: I, attributes: A): TensorType;
  /** ONNX operator name, or the nodes to emit. By default the operator of this one's name, capitalized. */
  readonly onnx?:
    | string
    | ((emit: Emitter, inputs: readonly string[], call: Call<I, A> & { output: Tensor }) => string);
  /**
   * The same on operands that are at hand in the layout of `Target.channelBlock`, where that suits it. Element-wise operators on
   * tensors of one shape need none.
   */
  blocked?(
    emit: Emitter,
    inputs: readonly string[],
    call: Call<I, A> & { output: Tensor },
  ): string | undefined;
  /** The same computation in simpler operators; emitted in place of this one. */
  expand?(inputs: I, attributes: A): Tensor;
  /** Absent for operators whose result is not differentiable (comparisons, integers). */
  gradient?(call: GradientCall<I, A>): Gradients<I>;
  /**
   * The same result once more, in calls that are not equal to the first ones and read nothing but what the gradient rule reads anyway.
   * Gradients of what comes after read it in place of the result, which then need not be kept until the backward pass. For results of
   * one cheap pass.
   */
  again?(inputs: I): Tensor;
  /** Sizes stretch (equal or 1): gradients are summed back to each input's shape. */
  readonly broadcasts?: true;
  /** Computed element by element: its gradient rule takes cotangents in which an axis is still to be stretched. */
  readonly elementwise?: true;
  /** The result is the first operand's memory under another shape. */
  readonly view?: true;
  /** Multiply-accumulates of products and convolutions; 0 for everything else. */
  readonly macs: 0 | ((call: Call<I, A> & { output: Tensor }) => number);
  /** Inputs for the generic tests. */
  readonly samples: readonly Sample<A>[];
}

/** An operator as shared code sees it. */
export interface Operator {
  readonly opName: string;
  readonly definition: OperatorDefinition<readonly Tensor[], Attributes>;
  /** Applies it to tensors. @throws ShapeError that shows the call as written */
  apply(inputs: readonly Tensor[], attributes?: Attributes): Tensor;
}

type Operand<T> = T extends undefined ? undefined : Tensor | number;
type Operands<I extends readonly (Tensor | undefined)[]> = { [K in keyof I]: Operand<I[K]> };
type AttributeArgument<A> = Record<never, never> extends A ? [attributes?: A] : [attributes: A];

/** An operator that is called with tensors (or numbers, which become constants) and its attributes. */
export type Op<I extends readonly (Tensor | undefined)[], A = Record<never, never>> = Operator &
  ((...args: [...Operands<I>, ...AttributeArgument<A>]) => Tensor);

const registry = new Map<string, Operator>();

/** Every operator that has been defined, in order of definition. */
export function operators(): readonly Operator[] {
  return [...registry.values()];
}

/** Defines an operator; the result is called like a function. */
export function defineOp<I extends readonly (Tensor | undefined)[], A = Record<never, never>>(
  opName: string,
  definition: OperatorDefinition<NoInfer<I>, NoInfer<A>>,
): Op<I, A> {
  if (registry.has(opName)) throw new FoveaError(`operator ${opName} is defined twice`);
  const general = definition as unknown as OperatorDefinition<readonly Tensor[], Attributes>;
  const operator: Operator = Object.assign((...args: unknown[]) => operator.apply(...splitArguments(args)), {
    opName,
    definition: general,
    apply: (inputs: readonly Tensor[], attributes: Attributes = {}) =>
      applyOperator(operator, inputs, attributes),
  });
  registry.set(opName, operator);
  return operator as Op<I, A>;
}

function splitArguments(args: unknown[]): [Tensor[], Attributes] {
  const last = args.at(-1);
  const hasAttributes = typeof last === "object" && last !== null && !(last instanceof Tensor);
  const operands = (hasAttributes ? args.slice(0, -1) : args).filter((operand) => operand !== undefined);
  const tensors = operands.filter((operand) => operand instanceof Tensor);
  // Numbers stand beside values, not beside a condition.
  const dtype = tensors.find((tensor) => tensor.dtype !== "bool")?.dtype ?? "float32";
  return [
    operands.map((operand) => (operand instanceof Tensor ? operand : constant(operand as number, { dtype }))),
    hasAttributes ? (last as Attributes) : {},
  ];
}

function applyOperator(op: Operator, operands: readonly Tensor[], attributes: Attributes): Tensor {
  const { definition } = op;
  const trace = activeTrace();
  const inputs = trace
    ? operands.map((operand) => (operand instanceof Variable && trace.updates.get(operand)) || operand)
    : operands;
  try {
    const canonical = definition.normalize ? definition.normalize(attributes, inputs) : attributes;
    const { shape, dtype } = definition.type(inputs, canonical);
    return new Tensor({ op, inputs, attributes: canonical, shape, dtype, scope: currentScope() });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new ShapeError(`${formatCall(op.opName, inputs, attributes)}: ${error.message}`, { cause: error });
  }
}

function formatCall(name: string, inputs: readonly Tensor[], attributes: Attributes): string {
  const operands = inputs.map((x) => (x.dtype === "float32" ? "" : `${x.dtype} `) + formatShape(x.shape));
  const given = Object.entries(attributes).filter(([, value]) => value !== undefined);
  const named = given.map(([key, value]) => `${key}: ${formatAttribute(value)}`);
  return `${name}(${[...operands, ...(named.length > 0 ? [`{ ${named.join(", ")} }`] : [])].join(", ")})`;
}

function formatAttribute(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(formatAttribute).join(", ")}]`;
  return typeof value === "object" && !(value instanceof BatchSize) ? "{...}" : String(value);
}

/** Refuses an operand of another dtype. */
export function requireDType(tensor: Tensor, dtype: DType, what: string): void {
  if (tensor.dtype !== dtype) throw new ShapeError(`${what} must be ${dtype}, found ${tensor.dtype}`);
}

/** Refuses operands that are not float32. */
export function requireFloats(tensors: readonly (Tensor | undefined)[]): void {
  for (const tensor of tensors) if (tensor) requireDType(tensor, "float32", "operands");
}

/** Refuses an operand of another rank. */
export function requireRank(tensor: Tensor, rank: number, what: string): void {
  if (tensor.rank !== rank) {
    throw new ShapeError(`${what} must have rank ${rank}, found ${formatShape(tensor.shape)}`);
  }
}
