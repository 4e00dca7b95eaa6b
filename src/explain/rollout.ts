import { attentionRollout } from "../attention/transformer/rollout.js";
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

/** Token attention followed through all layers. Abnar, Zuidema: Quantifying Attention Flow in Transformers, ACL 2020, arXiv:2005.00928. */
export const rollout: ExplainMethod = {
  name: "rollout",
  reads: ["taps", "query", "grid"],
  lacks: ({ pass, options }) =>
    layersOf(pass, options).length > 0
      ? undefined
      : "layers of token attention [N, heads, T, T] whose grid of patches is known (option grid)",
  async create({ model, imageShape, pass, options, session }) {
    const follow = (x: Tensor) => {
      const traced = forwardPass(model, x, options);
      const layers = layersOf(traced, options).map(({ tensor }) => tensor);
      return { rollout: attentionRollout(layers), ...(traced.logits ? { logits: traced.logits } : {}) };
    };
    const [first] = layersOf(pass, options) as [LaidOutMap];
    const graph = trace(follow, { shape: [1, ...imageShape] }, { model });
    const map: LaidOutMap = {
      tap: "rollout",
      module: "",
      name: "rollout",
      declaration: { kind: "tokens", shape: [], range: [0, 1], sumsToOne: [-1] },
      tensor: graph.outputs.get("rollout")!,
      sizes: {},
      shape: concreteShape(graph.outputs.get("rollout")!.shape),
      layout: { ...first.layout, axes: ["batch", "query", "key"] },
    };
    const executable = await compile(graph, session);
    return {
      async explain(image) {
        const { outputs } = await executable.run({ x: batchOfOne(image) });
        const logits = (outputs.logits?.data as Float32Array | undefined) ?? new Float32Array(0);
        return {
          method: "rollout",
          logits,
          ...(logits.length > 0 ? { prediction: highestScore(logits) } : {}),
          maps: [explainedMap(map, outputs.rollout!, options)],
        };
      },
      close: () => executable.close(),
    };
  },
};

/** Attention of tokens to the same tokens, layer by layer; of several sequences the one with most layers. */
function layersOf({ maps }: Pass, { taps }: ExplainOptions): LaidOutMap[] {
  const square = maps.filter(({ layout, shape, declaration }) => {
    const [tokens, keys] = shape.slice(-2);
    const isLayer = shape.length === 4 && declaration.kind === "tokens" && tokens === keys;
    return (
      isLayer && layout.queries !== undefined && layout.keys?.form === "grid" && layout.axes[3] === "key"
    );
  });
  const chosen = taps ? square.filter(({ tap }) => fitsAny(tap, taps)) : square;
  if (taps && chosen.length === 0 && square.length > 0) {
    const known = square.map(({ tap }) => tap).join(", ");
    throw new OptionError(
      `explain: no layer of token attention fits ${taps.join(", ")}; the model has ${known}`,
    );
  }
  const sequences = [...new Set(chosen.map(({ shape }) => shape[3]!))].map((tokens) =>
    chosen.filter(({ shape }) => shape[3] === tokens),
  );
  return sequences.reduce((best, layers) => (layers.length > best.length ? layers : best), []);
}
