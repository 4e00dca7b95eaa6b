import type { AnyMechanismClass } from "../../src/attention/catalogue.js";
import type { ExampleInput, Mechanism } from "../../src/attention/mechanism.js";
import { type CallSignature, callArgument, dtypesOf } from "../../src/attention/signature.js";
import { anyAxes, type NamedSize, resolveShape, resolveSize, type Sizes } from "../../src/attention/sizes.js";
import { elementCount, type HostTensor, hostArray } from "../../src/base/dtype.js";
import { fillNormal, fillUniform, randomInteger } from "../../src/base/random.js";
import {
  type Graph,
  type InputType,
  initialize,
  namedVariables,
  type Outputs,
  trace,
} from "../../src/graph/model.js";
import { batch, type Size } from "../../src/graph/size.js";
import { Tensor } from "../../src/graph/tensor.js";

/** One call of a mechanism with the options and sizes of one of its examples. */
export interface Trial {
  readonly type: AnyMechanismClass;
  readonly module: Mechanism;
  readonly call: string;
  readonly signature: CallSignature;
  /** With a batch of three. */
  readonly sizes: Sizes;
  readonly inputs: Readonly<Record<string, ExampleInput>>;
}

/** Every call of an example, on one module whose variables are away from their initial values: zeros would hide what follows them. */
export function trialsOf(type: AnyMechanismClass, index: number): Trial[] {
  const example = type.about.examples[index]!;
  const module = build(type, example.options);
  for (const [path, variable] of namedVariables(module)) {
    if (variable.dtype !== "float32") continue;
    const shift = new Float32Array(variable.value.length);
    const key = { seed: 1, stream: path, step: 0 };
    // Buffers can be variances.
    if (variable.trainable) fillNormal(shift, key, 0, 0.2);
    else fillUniform(shift, key, 0, 0.2);
    variable.value = (variable.value as Float32Array).map((value, at) => value + shift[at]!);
  }
  const sizes = "batch" in example.sizes ? { ...example.sizes, batch: 3 } : example.sizes;
  const calls = type.about.calls?.(module.options as never) ?? { forward: module.signature() };
  return Object.entries(calls).map(([call, signature]) => ({
    type,
    module,
    call,
    signature,
    sizes,
    inputs: Object.fromEntries(
      Object.entries(signature.inputs)
        .filter(([name, { optional }]) => !optional || example.inputs?.[name])
        .map(([name]) => [name, example.inputs?.[name] ?? {}]),
    ),
  }));
}

/** A new instance with its initial values. */
export function build(type: AnyMechanismClass, options: unknown): Mechanism {
  const module = new type(options as never);
  initialize(module);
  return module;
}

/** Types of the inputs that the trial gives; with a symbolic batch if `sizes.batch` is one. */
export function typesOf(trial: Trial, sizes: Readonly<Record<string, Size>>): Record<string, InputType> {
  return Object.fromEntries(
    Object.entries(trial.inputs).map(([name, { shape, dtype }]) => {
      const declared = trial.signature.inputs[name]!;
      const axes = shape ?? declared.shape.filter((size) => size !== anyAxes);
      return [name, { shape: resolveShape(axes, sizes), dtype: dtype ?? dtypesOf(declared)[0]! }];
    }),
  );
}

/** True where an input has a batch axis. */
export function hasBatch(trial: Trial): boolean {
  return Object.values(typesOf(trial, { ...trial.sizes, batch })).some(({ shape }) =>
    shape.some((size) => typeof size !== "number"),
  );
}

/** Traces the call, or another one with other types. */
export function traceCall(
  trial: Trial,
  types: Readonly<Record<string, InputType>>,
  options: {
    training?: boolean;
    after?: (outputs: Record<string, Tensor>, inputs: Record<string, Tensor>) => Outputs;
  } = {},
): Graph {
  const { module, call, signature } = trial;
  const methods = module as unknown as Record<string, (argument: unknown) => Outputs>;
  const body = (leaves: Record<string, Tensor>) => {
    const result = methods[call]!(callArgument(signature, leaves));
    const outputs =
      result instanceof Tensor ? { [Object.keys(signature.outputs)[0]!]: result } : { ...result };
    return options.after?.(outputs, leaves) ?? outputs;
  };
  return trace(body, types, { training: options.training ?? false, model: module });
}

/** Random values for the inputs, the same for the same sizes. */
export function valuesOf(trial: Trial, sizes: Sizes): Record<string, HostTensor> {
  return Object.fromEntries(
    Object.entries(typesOf(trial, sizes)).map(([name, { shape, dtype = "float32" }]) => {
      const given = trial.inputs[name]?.values?.(sizes);
      const concrete = shape as readonly number[];
      const data = hostArray(dtype, elementCount(concrete));
      const key = { seed: 2, stream: name, step: 0 };
      if (data instanceof Float32Array) {
        if (given) data.set(given);
        else fillNormal(data, key);
      } else {
        const [low, high] = dtype === "bool" ? [0, 1] : rangeOf(trial, name, sizes);
        for (let at = 0; at < data.length; at++) {
          const value = given ? given[at]! : low + randomInteger(key, at, high - low + 1);
          if (data instanceof BigInt64Array) data[at] = BigInt(value);
          else data[at] = value;
        }
      }
      return [name, { dtype, shape: concrete, data }];
    }),
  );
}

function rangeOf(trial: Trial, name: string, sizes: Sizes): [number, number] {
  const range = trial.signature.inputs[name]!.range;
  if (!range) throw new Error(`input ${name} is int64: its signature needs a range, or the example values`);
  return range.map((bound: NamedSize) => resolveSize(bound, sizes)) as [number, number];
}
