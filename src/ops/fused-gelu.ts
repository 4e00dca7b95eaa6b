import { defineOp, type Op } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { floatLike } from "./arithmetic.js";
import { gelu } from "./erf.js";

/** `gelu` in one operator, where nothing else reads its parts. ONNX Gelu-20. */
export const fusedGelu: Op<[x: Tensor]> = defineOp("fusedGelu", {
  type: floatLike,
  onnx: (emit, [x]) => {
    if (emit.target.opset >= 20) return emit.node("Gelu", [x!]);
    const scalar = (value: number) =>
      emit.constant({ dtype: "float32", shape: [], data: Float32Array.of(value) });
    const erf = emit.node("Erf", [emit.node("Mul", [x!, scalar(Math.SQRT1_2)])]);
    return emit.node("Mul", [x!, emit.node("Mul", [emit.node("Add", [erf, scalar(1)]), scalar(0.5)])]);
  },
  gradient: (call) => gelu.definition.gradient!(call) as [() => Tensor],
  elementwise: true,
  macs: 0,
  samples: [{ inputs: [[2, 3, 4]] }],
});
