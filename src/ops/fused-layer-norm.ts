import { defineOp, type Op } from "../graph/operator.js";
import type { Tensor } from "../graph/tensor.js";
import { layerNorm, layerNormSamples } from "./layer-norm.js";

/** `layerNorm` in one operator, where nothing else reads its parts. ONNX LayerNormalization-17. */
export const fusedLayerNorm: Op<[x: Tensor, scale: Tensor, bias: Tensor], { epsilon: number }> = defineOp(
  "fusedLayerNorm",
  {
    type: (inputs, attributes) => layerNorm.definition.type(inputs, attributes),
    onnx: (emit, operands, { inputs: [, scale], attributes: { epsilon } }) =>
      emit.node("LayerNormalization", operands, { axis: { int: -scale.rank }, epsilon: { float: epsilon } }),
    gradient: (call) => layerNorm.definition.gradient!(call) as [() => Tensor, () => Tensor, () => Tensor],
    broadcasts: true,
    macs: 0,
    samples: layerNormSamples,
  },
);
