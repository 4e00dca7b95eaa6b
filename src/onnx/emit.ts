import { FoveaError } from "../base/errors.js";
import type { Target } from "../graph/emitter.js";
import type { Tensor } from "../graph/tensor.js";
import { withScope } from "../graph/trace.js";
import type { Variable } from "../graph/variable.js";
import { ModelBuilder, type OnnxSize } from "./builder.js";

/** What to emit. */
export interface EmitRequest {
  readonly target: Target;
  /** Graph inputs by name. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** Variables by name: as inputs of the model, or with their present values inside it. */
  readonly variables: ReadonlyMap<string, Variable>;
  readonly variablesAs: "inputs" | "initializers";
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly producerVersion: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** An encoded model and what it needs. */
export interface EmittedModel {
  readonly bytes: Uint8Array;
  readonly nodeCount: number;
  /** Names of the variables and inputs that the outputs depend on. */
  readonly usedInputs: readonly string[];
}

/** Operator set of models that are run by sessions of our own. */
export const sessionOpset = 21;

/**
 * Emits the nodes that the outputs depend on as an ONNX model. Composites are expanded, equal calls are merged, and what no output
 * needs is left out.
 * @throws FoveaError where an output depends on an input or variable that was not named
 */
export function emitModel(request: EmitRequest): EmittedModel {
  const builder = new ModelBuilder(request.target);
  const reached = reachableLeaves(request.outputs.values());
  const names = new Map<Tensor, string>();
  const usedInputs: string[] = [];
  const declare = (name: string, tensor: Tensor) => {
    names.set(tensor, builder.input(name, tensor.dtype, tensor.shape.map(onnxSize)));
    usedInputs.push(name);
  };
  for (const [name, tensor] of request.inputs) if (reached.has(tensor)) declare(name, tensor);
  for (const [name, variable] of request.variables) {
    if (!reached.has(variable)) continue;
    if (request.variablesAs === "inputs") declare(name, variable);
    else {
      const { dtype, shape, value } = variable;
      names.set(variable, builder.initializer(name, { dtype, shape, data: value }));
    }
  }
  emitNodes(builder, names, [...request.outputs.values()]);
  for (const [name, tensor] of request.outputs) {
    builder.output(name, tensor.dtype, tensor.shape.map(onnxSize), names.get(tensor)!);
  }
  const { producerVersion, metadata } = request;
  const bytes = builder.build({ producerVersion, ...(metadata ? { metadata } : {}) });
  return { bytes, nodeCount: builder.nodeCount, usedInputs };
}

function onnxSize(size: Tensor["shape"][number]): OnnxSize {
  return typeof size === "number" ? size : size.toString();
}

/** Leaves that the outputs depend on. Composites are made of their inputs, so expansion adds none. */
function reachableLeaves(outputs: Iterable<Tensor>): ReadonlySet<Tensor> {
  const seen = new Set<Tensor>();
  const pending = [...outputs];
  for (let tensor = pending.pop(); tensor; tensor = pending.pop()) {
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    pending.push(...tensor.inputs);
  }
  return new Set([...seen].filter((tensor) => tensor.inputs.length === 0));
}

/** Emits everything that `roots` depend on, inputs first, without recursion: graphs are thousands of nodes deep. */
function emitNodes(builder: ModelBuilder, names: Map<Tensor, string>, roots: readonly Tensor[]): void {
  const expansions = new Map<Tensor, Tensor>();
  const merged = new Map<string, string>();
  const pending = [...roots];
  while (pending.length > 0) {
    const tensor = pending.at(-1)!;
    if (names.has(tensor)) {
      pending.pop();
      continue;
    }
    const needed = prerequisites(tensor, expansions);
    const open = needed.filter((other) => !names.has(other));
    if (open.length > 0) {
      // Reversed, so that the first operand is emitted first.
      pending.push(...open.reverse());
      continue;
    }
    pending.pop();
    const expansion = expansions.get(tensor);
    names.set(tensor, expansion ? names.get(expansion)! : emitCall(builder, merged, names, tensor));
  }
}

function prerequisites(tensor: Tensor, expansions: Map<Tensor, Tensor>): readonly Tensor[] {
  const { expand } = tensor.op.definition;
  if (!expand) return tensor.inputs;
  const known =
    expansions.get(tensor) ?? withScope(tensor.scope, () => expand(tensor.inputs, tensor.attributes));
  expansions.set(tensor, known);
  return [known];
}

function emitCall(
  builder: ModelBuilder,
  merged: Map<string, string>,
  names: ReadonlyMap<Tensor, string>,
  tensor: Tensor,
): string {
  const { op, attributes } = tensor;
  const { onnx } = op.definition;
  const operands = tensor.inputs.map((operand) => names.get(operand)!);
  const isLeaf = operands.length === 0;
  if (isLeaf && typeof onnx !== "function") {
    throw new FoveaError(
      `the graph reads ${op.opName} ${tensor}, which is not among its named inputs and variables`,
    );
  }
  const key = isLeaf ? "" : JSON.stringify([op.opName, attributes, operands], distinct);
  const known = merged.get(key);
  if (known !== undefined) return known;
  builder.scope = tensor.scope;
  const name =
    typeof onnx === "function"
      ? onnx(builder, operands, { inputs: tensor.inputs, attributes, output: tensor })
      : builder.node(onnx ?? op.opName.charAt(0).toUpperCase() + op.opName.slice(1), operands);
  if (!isLeaf) merged.set(key, name);
  return name;
}

/** Keeps infinities apart, which JSON writes as null. */
function distinct(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}
