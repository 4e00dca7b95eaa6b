import type { DType, HostTensor } from "../base/dtype.js";
import { DataError, ShapeError } from "../base/errors.js";
import { formatShape, type Size } from "../graph/size.js";
import { Tensor } from "../graph/tensor.js";
import { anyAxes, type NamedSize, namesIn, resolveSize } from "./sizes.js";

/** An input of a call. */
export interface CallInput {
  /** One size an axis; `"..."` stands for any number of axes. */
  readonly shape: readonly NamedSize[];
  /** float32 by default. */
  readonly dtype?: DType;
  /** Another dtype that is taken as well. */
  readonly otherDType?: DType;
  readonly optional?: boolean;
  /** Closed range of int64 values, checked before a run. */
  readonly range?: readonly [NamedSize, NamedSize];
}

/** An entry point of a mechanism. */
export interface CallSignature {
  /** One input is passed by itself, several as one object. */
  readonly inputs: Readonly<Record<string, CallInput>>;
  /** One output is returned by itself, several as one object. */
  readonly outputs: Readonly<Record<string, readonly NamedSize[]>>;
  /** True where it mixes the samples of a batch in evaluation too, so that its graph needs the batch size. */
  readonly concreteBatch?: true;
  /** Refuses values that a trace cannot see (labels, lengths, masks). @throws DataError */
  check?(inputs: Readonly<Record<string, HostTensor>>): void;
}

/** What a method of this signature is called with: the tensor of a single input, or an object of the inputs by name. */
export function callArgument<T>(signature: CallSignature, inputs: Readonly<Record<string, T>>): unknown {
  const [only, ...others] = Object.keys(signature.inputs);
  return only !== undefined && others.length === 0 ? inputs[only] : inputs;
}

/**
 * Refuses arguments that do not fit a signature: rank, dtype, fixed sizes, names that stand for two sizes, unknown and missing inputs.
 * @param call as it is written in errors: `CBAM.forward`
 * @returns the sizes that the names of the signature stand for
 * @throws ShapeError
 */
export function checkArgument(
  call: string,
  signature: CallSignature,
  argument: unknown,
): Readonly<Record<string, Size>> {
  const names = Object.keys(signature.inputs);
  const given = namedArguments(call, names, argument);
  const found = new Map<string, Tensor>();
  const sizes: Record<string, Size> = {};
  const refuse = (name: string, what: string) => {
    const { shape } = signature.inputs[name]!;
    const dtypes = dtypesOf(signature.inputs[name]!).join(" or ");
    throw new ShapeError(`${call}: input ${name} must be ${dtypes} [${shape.join(", ")}], found ${what}`);
  };
  for (const [name, declared] of Object.entries(signature.inputs)) {
    const tensor = given[name];
    if (tensor === undefined && declared.optional) continue;
    if (!(tensor instanceof Tensor)) {
      refuse(name, tensor === undefined || tensor === null ? "none" : typeof tensor);
    } else {
      found.set(name, tensor);
      const fits = dtypesOf(declared).includes(tensor.dtype) && matches(declared.shape, tensor.shape, sizes);
      if (!fits) refuse(name, describe(tensor));
    }
  }
  // Sums and products of sizes, when all names are known.
  for (const [name, tensor] of found) {
    const { shape } = signature.inputs[name]!;
    if (!matches(shape, tensor.shape, sizes, true)) refuse(name, describe(tensor));
  }
  return sizes;
}

/** What an input's dtype may be. */
export function dtypesOf({ dtype = "float32", otherDType }: CallInput): readonly DType[] {
  return otherDType ? [dtype, otherDType] : [dtype];
}

function describe({ dtype, shape }: Tensor): string {
  return `${dtype} ${formatShape(shape)}`;
}

function namedArguments(
  call: string,
  names: readonly string[],
  argument: unknown,
): Readonly<Record<string, unknown>> {
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) return { [only]: argument };
  const list = names.join(", ");
  if (typeof argument !== "object" || argument === null || argument instanceof Tensor) {
    const what = argument instanceof Tensor ? "a tensor" : argument === undefined ? "none" : typeof argument;
    throw new ShapeError(`${call} takes one object of ${list}, found ${what}`);
  }
  const unknown = Object.keys(argument).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new ShapeError(`${call} has no input ${unknown}; its inputs are ${list}`);
  }
  return argument as Readonly<Record<string, unknown>>;
}

/** True where a shape fits its declaration. Binds plain names to sizes; with `compound` only sums and products of them are compared. */
function matches(
  declared: readonly NamedSize[],
  shape: readonly Size[],
  sizes: Record<string, Size>,
  compound = false,
): boolean {
  const open = declared.indexOf(anyAxes);
  if (open < 0 ? declared.length !== shape.length : declared.length - 1 > shape.length) return false;
  return declared.every((size, index) => {
    if (size === anyAxes) return true;
    const axis = open >= 0 && index > open ? shape.length - declared.length + index : index;
    const actual = shape[axis]!;
    if (typeof size === "number") return actual === size;
    const names = namesIn(size);
    if (names[0] === size) {
      sizes[size] ??= actual;
      return sizes[size] === actual;
    }
    if (!compound || !names.every((name) => Object.hasOwn(sizes, name))) return true;
    return resolveSize(size, sizes) === actual;
  });
}

/** Refuses values that a trace cannot see. @throws DataError */
export function checkValues(
  call: string,
  signature: CallSignature,
  inputs: Readonly<Record<string, HostTensor>>,
): void {
  const sizes = sizesOf(signature, inputs);
  for (const [name, { range }] of Object.entries(signature.inputs)) {
    const tensor = inputs[name];
    if (!range || !tensor) continue;
    const [low, high] = range.map((bound) => Number(resolveSize(bound, sizes))) as [number, number];
    for (const [index, value] of tensor.data.entries()) {
      if (Number(value) < low || Number(value) > high) {
        throw new DataError(
          `${call}: input ${name} must lie in [${low}, ${high}], found ${value} at index ${index}`,
        );
      }
    }
  }
  signature.check?.(inputs);
}

function sizesOf(
  signature: CallSignature,
  inputs: Readonly<Record<string, HostTensor>>,
): Readonly<Record<string, Size>> {
  const sizes: Record<string, Size> = {};
  for (const [name, { shape }] of Object.entries(signature.inputs)) {
    if (inputs[name]) matches(shape, inputs[name].shape, sizes);
  }
  return sizes;
}
