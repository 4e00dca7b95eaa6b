import { bytesPerElement, elementCount } from "../base/dtype.js";
import { foldCalls } from "../graph/fold.js";
import { inputOp, leafKey } from "../graph/leaf.js";
import { pathsTo } from "../graph/model.js";
import { concreteShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";

/** Memory of the intermediate tensors of a forward pass, in bytes. */
export interface ActivationMemory {
  /** Everything that the forward pass computes. */
  readonly forward: number;
  /** What the backward pass reads of it, and of the inputs: it is kept from the one to the other. */
  readonly kept: number;
}

/**
 * Bytes of the distinct intermediate tensors of a graph with a concrete batch. As in an emitted model, composites count as what they
 * expand to and equal calls once; a reshaped tensor is the tensor itself. Parameters, buffers and constants do not count, nor what an
 * operator needs while it runs.
 * @param outputs results of the forward pass
 * @param gradients results of the backward pass
 * @throws ShapeError for a symbolic batch
 */
export function activationMemory(outputs: Iterable<Tensor>, gradients: Iterable<Tensor>): ActivationMemory {
  return activationMemoryByModule(outputs, gradients).get("")!;
}

/** The same by module path, with what lies below it; the root, under the empty path, is the total. @throws ShapeError */
export function activationMemoryByModule(
  outputs: Iterable<Tensor>,
  gradients: Iterable<Tensor>,
): ReadonlyMap<string, ActivationMemory> {
  const count = storages(outputs).length;
  // Roots are visited from the last one on: first what belongs to the forward pass.
  const all = storages([...gradients, ...outputs]);
  const read = new Set(all.slice(count).flatMap(({ operands }) => operands));
  const found = new Map<string, ActivationMemory>([["", { forward: 0, kept: 0 }]]);
  for (const { key, operands, bytes, scope } of all.slice(0, count)) {
    for (const path of pathsTo(scope)) {
      const { forward, kept } = found.get(path) ?? { forward: 0, kept: 0 };
      found.set(path, {
        forward: forward + (operands.length > 0 ? bytes : 0),
        kept: kept + (read.has(key) ? bytes : 0),
      });
    }
  }
  return found;
}

/** A tensor with memory of its own. */
interface Storage {
  readonly key: string;
  /** Memory that it is computed from; none for an input. */
  readonly operands: readonly string[];
  /** 0 for parameters, buffers and constants. */
  readonly bytes: number;
  /** Path of the module that makes it. */
  readonly scope: string;
}

function storages(roots: Iterable<Tensor>): Storage[] {
  const found: Storage[] = [];
  const storageOf = new Map<string, string>();
  foldCalls<string>(roots, new Map(), (tensor, values) => {
    const { op, shape, dtype } = tensor;
    const operands = values.map((value) => storageOf.get(value)!);
    const value = operands.length === 0 ? leafKey(tensor) : String(tensor.id);
    storageOf.set(value, op.definition.view ? operands[0]! : value);
    if (!op.definition.view) {
      const counts = operands.length > 0 || op === inputOp;
      const bytes = counts ? elementCount(concreteShape(shape)) * bytesPerElement[dtype] : 0;
      found.push({ key: value, operands, bytes, scope: tensor.scope });
    }
    return value;
  });
  return found;
}
