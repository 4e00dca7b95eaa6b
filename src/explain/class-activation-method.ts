import type { HostTensor } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";
import { trace } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { compile } from "../runtime/executable.js";
import { camFeatures, lastCamFeatures } from "./cam-features.js";
import { type CamFeatures, type CamMethod, classActivation } from "./class-activation.js";
import { classMap } from "./explained-map.js";
import { batchOfOne, type ExplainMethod, type MethodContext } from "./method.js";
import { fitsAny, forwardPass, type Pass, requireLogits } from "./probe.js";
import { chosenClasses, highestScore } from "./scores.js";
import type { ExplainableModel, ExplainedMap, ExplainOptions } from "./types.js";

/** Grad-CAM or Grad-CAM++ of the network's last features, or of the taps that are asked for. */
export function classActivationMethod(name: CamMethod): ExplainMethod {
  return {
    name,
    reads: ["taps", "classes", "grid"],
    lacks: ({ model, pass, options }) => {
      if (!pass.logits) return "logits [N, classes]";
      const needed = "a tap of feature maps [N, C, H, W], or of tokens whose grid is known";
      return options.taps || chosenFeatures(model, pass, options).length > 0 ? undefined : needed;
    },
    create: (context) => create(name, context),
  };
}

async function create(name: CamMethod, { model, imageShape, pass, options, session }: MethodContext) {
  const taps = chosenFeatures(model, pass, options).map(([tap]) => tap);
  const look = ({ x, classes }: { x: Tensor; classes?: Tensor }) => {
    const traced = forwardPass(model, x, options);
    const logits = requireLogits(traced);
    const features = chosenFeatures(model, traced, options).map(([, found]) => found);
    const heats = classActivation(logits, features, { method: name, ...(classes ? { classes } : {}) });
    return { ...Object.fromEntries(heats.map((heat, index) => [`heat${index}`, heat])), logits };
  };
  const x = { shape: [1, ...imageShape] };
  const types = options.classes ? { x, classes: { shape: [1], dtype: "int64" as const } } : { x };
  const executable = await compile(trace(look, types, { model }), session);
  return {
    async explain(image: HostTensor) {
      const maps: ExplainedMap[] = [];
      let logits = new Float32Array(0);
      for (const label of options.classes ?? [undefined]) {
        if (label !== undefined) chosenClasses([label], new Float32Array(requireLogits(pass).size(1)));
        const { outputs } = await executable.run({
          x: batchOfOne(image),
          ...(label === undefined ? {} : { classes: classLabel(label) }),
        });
        logits = outputs.logits!.data as Float32Array<ArrayBuffer>;
        const explained = label ?? highestScore(logits);
        for (const [index, tap] of taps.entries()) {
          const { data, shape } = outputs[`heat${index}`]!;
          const plane = { data: data as Float32Array, shape: shape.slice(2) };
          maps.push(classMap(plane, { tap, name, class: explained, signed: false }));
        }
      }
      return { method: name, logits, prediction: highestScore(logits), maps };
    },
    close: () => executable.close(),
  };
}

function classLabel(label: number): HostTensor {
  return { dtype: "int64", shape: [1], data: BigInt64Array.of(BigInt(label)) };
}

/** Features to look at: the taps that are asked for, or the network's last features. */
function chosenFeatures(
  model: ExplainableModel,
  pass: Pass,
  options: ExplainOptions,
): [tap: string, features: CamFeatures][] {
  const { taps } = options;
  if (!taps) {
    const last = lastCamFeatures(model, pass, options);
    return last ? [last] : [];
  }
  const usable = camFeatures(pass, options);
  const chosen = usable.filter(([tap]) => fitsAny(tap, taps));
  for (const pattern of taps) {
    if (chosen.some(([tap]) => fitsAny(tap, [pattern]))) continue;
    const known = usable.map(([tap]) => tap).join(", ") || "none";
    throw new OptionError(`explain: no feature map is tapped as "${pattern}"; the model has ${known}`);
  }
  return chosen;
}
