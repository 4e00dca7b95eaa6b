import { type DType, elementCount } from "../base/dtype.js";
import { FoveaError, OptionError } from "../base/errors.js";
import { ancestors } from "./ancestors.js";
import { withHostCalls } from "./host-call.js";
import { input } from "./leaf.js";
import type { Shape } from "./size.js";
import { Tensor } from "./tensor.js";
import { type ModuleCall, type NoiseInput, Trace, withTrace } from "./trace.js";
import { Variable } from "./variable.js";

/** A tree of named parts that hold variables: what tracing, saving and training need to know of a network. */
export interface Model {
  /** Its own variables, by name. */
  ownVariables(): Iterable<readonly [string, Variable]>;
  /** Its direct parts, by name. */
  ownParts(): Iterable<readonly [string, Model]>;
}

/** True for objects that are models. */
export function isModel(value: unknown): value is Model {
  return typeof value === "object" && value !== null && "ownParts" in value && "ownVariables" in value;
}

/** Joins a module path and a name. */
export function joinPath(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

/** The root and every path down to `scope`: `a.b` gives "", `a`, `a.b`. */
export function pathsTo(scope: string): string[] {
  const paths = [""];
  if (scope !== "") for (const name of scope.split(".")) paths.push(joinPath(paths.at(-1)!, name));
  return paths;
}

/** Every part of a model with its path, the root first under the empty path. A shared part has the first of its paths. */
export function modelParts(root: Model): ReadonlyMap<Model, string> {
  const paths = new Map<Model, string>();
  const visit = (part: Model, path: string) => {
    if (paths.has(part)) return;
    paths.set(part, path);
    for (const [name, child] of part.ownParts()) visit(child, joinPath(path, name));
  };
  visit(root, "");
  return paths;
}

/** Every variable of a model by its path, in the order of the parts. A shared variable has the first of its paths. */
export function namedVariables(root: Model): ReadonlyMap<string, Variable> {
  const found = new Map<string, Variable>();
  const seen = new Set<Variable>();
  for (const [part, path] of modelParts(root)) {
    for (const [name, variable] of part.ownVariables()) {
      if (seen.has(variable)) continue;
      seen.add(variable);
      found.set(joinPath(path, name), variable);
    }
  }
  return found;
}

/** The trained variables of a model, by path. */
export function namedParameters(root: Model): ReadonlyMap<string, Variable> {
  return new Map([...namedVariables(root)].filter(([, variable]) => variable.trainable));
}

/** Number of trained values of a model. */
export function parameterCount(root: Model): number {
  return [...namedParameters(root).values()].reduce((total, { shape }) => total + elementCount(shape), 0);
}

/** Gives every variable that has no value its initial one. The value depends on the seed and the variable's path alone. */
export function initialize(root: Model, options: { seed?: number } = {}): void {
  for (const [path, variable] of namedVariables(root)) variable.initialize({ seed: options.seed ?? 0, path });
}

/** Shape and dtype of an input; float32 by default. */
export interface InputType {
  readonly shape: Shape;
  readonly dtype?: DType;
}

/** A traced computation: what goes in, what comes out, and what is kept for the next run. */
export interface Graph {
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly noise: readonly NoiseInput[];
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** Named intermediates, by module path. */
  readonly taps: ReadonlyMap<string, Tensor>;
  /** New values of updated variables. */
  readonly updates: ReadonlyMap<Variable, Tensor>;
  /** Calls of modules, an inner one before the one around it. */
  readonly calls: readonly ModuleCall[];
  /** Variables that the computation may read, by name. */
  readonly variables: ReadonlyMap<string, Variable>;
}

/** What a traced function returns: one tensor (named `y`), or several by name. */
export type Outputs = Tensor | Readonly<Record<string, Tensor>>;

/** A computation to trace: a function of its inputs, or a model with a method of that kind. */
export type Traceable = Model | ((inputs: never) => Outputs);

/** Options of `trace`. */
export interface TraceOptions {
  /** Batch statistics and dropout; false by default. */
  readonly training?: boolean;
  /** Method of the model to trace; `forward` by default. */
  readonly call?: string;
  /** Model whose paths name modules and variables where the target is a function. */
  readonly model?: Model;
}

/**
 * Traces a computation once with symbolic tensors. One input type is passed as a single argument (named `x`), a record as one object.
 * @throws ShapeError from the model's own code, with the module path
 */
export function trace(
  target: Traceable,
  inputs: InputType | Readonly<Record<string, InputType>>,
  options: TraceOptions = {},
): Graph {
  const model = options.model ?? (isModel(target) ? target : undefined);
  const single = isInputType(inputs);
  const types = Object.entries(single ? { x: inputs } : inputs);
  const leaves = new Map(types.map(([name, { shape, dtype }]) => [name, input(name, shape, dtype)]));
  const context = new Trace({
    training: options.training ?? false,
    paths: model ? modelParts(model) : new Map(),
  });
  const argument = single ? leaves.get("x")! : Object.fromEntries(leaves);
  const result = withTrace(context, () => call(target, options.call ?? "forward", argument));
  const outputs = new Map(result instanceof Tensor ? [["y", result]] : Object.entries(result));
  return {
    inputs: leaves,
    noise: context.noise,
    outputs,
    taps: context.taps,
    updates: context.updates,
    calls: context.calls,
    variables: model
      ? namedVariables(model)
      : unnamedVariables([
          ...outputs.values(),
          ...context.taps.values(),
          ...context.updates.keys(),
          ...context.updates.values(),
        ]),
  };
}

function isInputType(inputs: InputType | Readonly<Record<string, InputType>>): inputs is InputType {
  return Array.isArray((inputs as InputType).shape);
}

function call(target: Traceable, method: string, argument: unknown): Outputs {
  const owner = target as unknown as Record<string, unknown>;
  const body = typeof target === "function" ? target : owner[method];
  if (typeof body !== "function") throw new OptionError(`model has no method ${method}`);
  const result: unknown = body.call(target, argument);
  if (result instanceof Tensor) return result;
  const values = typeof result === "object" && result !== null ? Object.values(result) : [result];
  const other = values.findIndex((value) => !(value instanceof Tensor));
  if (other >= 0) {
    throw new FoveaError(
      `${method} must return a tensor or a record of tensors, found ${typeof values[other]}`,
    );
  }
  return result as Outputs;
}

/** Variables that a function closes over, numbered in the order of their creation. */
function unnamedVariables(roots: readonly Tensor[]): ReadonlyMap<string, Variable> {
  const variables = [...ancestors(withHostCalls(roots))]
    .filter((tensor) => tensor instanceof Variable)
    .sort((a, b) => a.id - b.id);
  return new Map(variables.map((variable, index) => [`variable${index}`, variable]));
}
