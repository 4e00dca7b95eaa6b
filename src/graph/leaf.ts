import type { DType, HostTensor } from "../base/dtype.js";
import { FoveaError, ShapeError } from "../base/errors.js";
import type { Operator } from "./operator.js";
import type { Shape } from "./size.js";
import { Tensor } from "./tensor.js";

/** The operator of tensors that are not computed: the graph's emitter knows them by identity. */
function leafOp(opName: string, onnx?: Operator["definition"]["onnx"]): Operator {
  return {
    opName,
    definition: {
      type: (_inputs, attributes) => attributes as { shape: Shape; dtype: DType },
      ...(onnx ? { onnx } : {}),
      macs: 0,
      samples: [],
    },
    apply() {
      throw new FoveaError(`${opName} is a leaf and cannot be applied`);
    },
  };
}

export const inputOp = leafOp("input");
export const variableOp = leafOp("variable");
export const constantOp = leafOp("constant", (emit, _inputs, call) =>
  emit.constant(call.attributes.value as Parameters<typeof emit.constant>[0]),
);

/** A graph input of the given type. @throws ShapeError that names it */
export function input(name: string, shape: Shape, dtype: DType = "float32"): Tensor {
  try {
    return new Tensor({ op: inputOp, inputs: [], attributes: { name }, shape, dtype, scope: "" });
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    throw new ShapeError(`input ${name}: ${error.message}`, { cause: error });
  }
}

/** Key of a leaf: equal constants have equal keys, so that calls on them are merged. */
export function leafKey(tensor: Tensor): string {
  const value = tensor.attributes.value as HostTensor | undefined;
  return value ? `${value.dtype}[${value.shape.join()}]:${value.data.join()}` : String(tensor.id);
}
