import { FoveaError } from "../base/errors.js";
import { ancestors } from "../graph/ancestors.js";
import type { Target } from "../graph/emitter.js";
import { foldCalls } from "../graph/fold.js";
import { isConcrete, sameShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import type { Variable } from "../graph/variable.js";
import { provideCpuForms } from "../ops/cpu-forms.js";
import { reshapeNode } from "../ops/nodes.js";
import { ModelBuilder } from "./builder.js";
import { isLayoutFree } from "./cpu/channels.js";
import { constantForms, forms } from "./cpu/forms.js";
import { fuseBlockedConvs } from "./cpu/fuse-blocked-convs.js";
import { fromBlocks, toBlocks } from "./cpu/layout.js";
import { foldBatchNorm } from "./fold-batch-norm.js";
import type { OnnxSize } from "./graph-records.js";
import { lower } from "./lowering/index.js";

/** What to emit. */
export interface EmitRequest {
  readonly target: Target;
  /** Graph inputs by name. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** Variables by name: as inputs of the model, or with their present values inside it. */
  readonly variables: ReadonlyMap<string, Variable>;
  readonly variablesAs: "inputs" | "initializers";
  readonly outputs: ReadonlyMap<string, Tensor>;
  /** Outputs that are computed only where a condition, one bool, holds, and the tensors that they have the values of elsewhere. */
  readonly guard?: { readonly condition: Tensor; readonly otherwise: ReadonlyMap<string, Tensor> };
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
 *
 * Where weights are inputs, as in training steps, ONNX Runtime's planner on the CPU is not told the sizes of what is computed. It would
 * give a tensor the memory of an earlier one of equal size, however long ago that was read last, and hold it in between: a third more
 * memory for a U-Net's step, and all that recomputing activations saves (docs/decisions/0012-memory-of-a-training-step.md).
 * @throws FoveaError where an output depends on an input or variable that was not named
 */
export function emitModel(request: EmitRequest): EmittedModel {
  const withholdsSizes = request.target.kind === "cpu" && request.variablesAs === "inputs";
  const builder = new ModelBuilder(request.target, { withholdsSizes });
  // Without variables, filters are inputs.
  const hasConstants = request.variablesAs === "initializers" && request.variables.size > 0;
  const constantInBlocks = hasConstants && request.target.channelBlock !== undefined;
  if (request.target.kind === "cpu") provideCpuForms(builder, constantInBlocks ? constantForms : forms);
  const { outputs, variables } = constantInBlocks ? foldBatchNorm(request) : request;
  const { guard } = request;
  // The walk begins at the last root: with a guard or without, calls come in the same order.
  const roots = [...(guard ? [guard.condition, ...guard.otherwise.values()] : []), ...outputs.values()];
  const reached = reachableLeaves(roots);
  const lowered = lower(roots, request.target);
  const names = new Map<Tensor, string>();
  const usedInputs: string[] = [];
  const declare = (name: string, tensor: Tensor) => {
    names.set(tensor, builder.input(name, tensor.dtype, tensor.shape.map(onnxSize)));
    usedInputs.push(name);
  };
  for (const [name, tensor] of request.inputs) {
    if (!reached.has(tensor)) continue;
    declare(name, tensor);
    if (withholdsSizes && isConcrete(tensor.shape)) {
      names.set(tensor, reshapeNode(builder, names.get(tensor)!, tensor.shape));
    }
  }
  for (const [name, variable] of variables) {
    if (!reached.has(variable)) continue;
    if (request.variablesAs === "inputs") declare(name, variable);
    else {
      const { dtype, shape, value } = variable;
      names.set(variable, builder.initializer(name, { dtype, shape, data: value }));
    }
  }
  foldCalls(lowered, names, (tensor, operands) => emitCall(builder, tensor, operands));
  const values = new Map(roots.map((root, index) => [root, names.get(lowered[index]!)!]));
  for (const [name, tensor] of outputs) {
    builder.output(name, tensor.dtype, tensor.shape.map(onnxSize), values.get(tensor)!);
  }
  if (guard) {
    const otherwise = [...guard.otherwise].map(([name, tensor]) => [name, values.get(tensor)!] as const);
    builder.guard({ condition: values.get(guard.condition)!, otherwise: new Map(otherwise) });
  }
  builder.prune();
  if (constantInBlocks) {
    const blocks = builder.formsOf("blocks");
    builder.replaceNodes((nodes, results) => fuseBlockedConvs(nodes, results, (value) => blocks.has(value)));
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
  return new Set([...ancestors(outputs)].filter((tensor) => tensor.inputs.length === 0));
}

function emitCall(builder: ModelBuilder, tensor: Tensor, operands: readonly string[]): string {
  const { op, attributes } = tensor;
  const { onnx } = op.definition;
  if (operands.length === 0 && typeof onnx !== "function") {
    throw new FoveaError(`the graph reads ${tensor}, which is not among its named inputs and variables`);
  }
  builder.scope = tensor.scope;
  const call = { inputs: tensor.inputs, attributes, output: tensor };
  const inBlocks = op.definition.blocked?.(builder, operands, call);
  if (inBlocks !== undefined) return inBlocks;
  const emitNodes = (names: readonly string[]) =>
    typeof onnx === "function"
      ? onnx(builder, names, call)
      : builder.node(onnx ?? op.opName.charAt(0).toUpperCase() + op.opName.slice(1), names);
  if (!op.definition.elementwise || !isLayoutFree(builder, operands, tensor.inputs, tensor)) {
    return emitNodes(operands);
  }
  const blocks = operands.map((operand, index) =>
    sameShape(tensor.inputs[index]!.shape, tensor.shape) ? toBlocks(builder, operand) : operand,
  );
  return fromBlocks(builder, emitNodes(blocks), tensor.size(1));
}
