import { mapLayout } from "../attention/map-layout.js";
import type { AttentionMap } from "../attention/maps.js";
import { OptionError } from "../base/errors.js";
import { trace } from "../graph/model.js";
import { concreteShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { compile } from "../runtime/executable.js";
import { explainedMap } from "./explained-map.js";
import { batchOfOne, type ExplainMethod } from "./method.js";
import { fitsAny, forwardPass, type LaidOutMap, type Pass } from "./probe.js";
import { highestScore } from "./scores.js";
import type { ExplainOptions } from "./types.js";

/** The maps that the network's own mechanisms make. */
export const attention: ExplainMethod = {
  name: "attention",
  reads: ["taps", "query", "grid"],
  lacks: ({ pass, options }) =>
    pass.maps.length > 0 || options.taps ? undefined : "a mechanism that declares an attention map",
  async create({ model, imageShape, pass, options, session }) {
    const maps = chosenMaps(pass, options);
    const show = (x: Tensor) => {
      const traced = forwardPass(model, x, options);
      const tensors = chosenMaps(traced, options).map(
        ({ tensor }, index) => [`map${index}`, tensor] as const,
      );
      return { ...Object.fromEntries(tensors), ...(traced.logits ? { logits: traced.logits } : {}) };
    };
    const executable = await compile(trace(show, { shape: [1, ...imageShape] }, { model }), session);
    return {
      async explain(image) {
        const { outputs } = await executable.run({ x: batchOfOne(image) });
        const logits = (outputs.logits?.data as Float32Array | undefined) ?? new Float32Array(0);
        return {
          method: "attention",
          logits,
          ...(logits.length > 0 ? { prediction: highestScore(logits) } : {}),
          maps: maps.map((map, index) => explainedMap(map, outputs[`map${index}`]!, options)),
        };
      },
      close: () => executable.close(),
    };
  },
};

/** The declared maps whose taps fit the patterns, and other taps that they name. @throws OptionError for a pattern that fits none */
function chosenMaps(pass: Pass, { taps }: ExplainOptions): LaidOutMap[] {
  if (!taps) return [...pass.maps];
  const declared = pass.maps.filter(({ tap }) => fitsAny(tap, taps));
  const free = taps.filter((pattern) => !declared.some(({ tap }) => fitsAny(tap, [pattern])));
  const others = [...pass.taps]
    .filter(([tap, { dtype, rank }]) => fitsAny(tap, free) && dtype === "float32" && rank > 1)
    .map(([tap, tensor]) => undeclaredMap(tap, tensor));
  for (const pattern of free) {
    if (others.some(({ tap }) => fitsAny(tap, [pattern]))) continue;
    const known = [...pass.taps.keys()].join(", ") || "none";
    throw new OptionError(`explain: no tap fits "${pattern}"; the model has ${known}`);
  }
  return [...declared, ...others];
}

/** A tap that no mechanism declares as a map, understood by its rank. */
function undeclaredMap(tap: string, tensor: Tensor): LaidOutMap {
  const shape = concreteShape(tensor.shape);
  const isPlane = shape.length >= 4 && shape.at(-1)! * shape.at(-2)! > 1;
  const kind = isPlane ? "spatial" : shape.length === 3 ? "tokens" : "channel-gate";
  const declaration: AttentionMap = { kind, shape: ["batch", ...shape.slice(1)] };
  const layout = mapLayout(declaration, shape);
  return { tap, module: "", name: tap, declaration, tensor, sizes: {}, shape, layout };
}
