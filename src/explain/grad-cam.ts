import type { HostTensor } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";
import { type Model, trace } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { type CompileOptions, compile } from "../runtime/executable.js";
import { camFeatures } from "./cam-features.js";
import { type CamFeatures, type CamMethod, classActivation } from "./class-activation.js";
import { forwardPass, type Pass, requireLogits } from "./probe.js";

/** A classifier: images in, one row of logits per image out. */
export type Classifier = Model & { forward(x: Tensor): Tensor };

/** Options of `gradCam`. */
export interface GradCamOptions extends Omit<CompileOptions, "taps"> {
  /** Tap of the feature maps [N, C, H, W] to explain, usually the last block's output, or of tokens [N, T, D] whose grid is known. */
  readonly tap: string;
  /** How the channels are weighted; `grad-cam` by default. */
  readonly method?: CamMethod;
  /** Class to explain for each image, int64 [N]; the predicted class by default. */
  readonly classes?: HostTensor;
  /** Further taps to return from the same run, `*` for any characters. */
  readonly taps?: readonly string[];
}

/** Where a classifier looks. */
export interface GradCamResult {
  /** [N, 1, H, W] of the tapped features, >= 0: how much each place speaks for the class. */
  readonly heat: HostTensor;
  /** [N, classes]. */
  readonly logits: HostTensor;
  readonly taps: Readonly<Record<string, HostTensor>>;
}

/**
 * Class activation maps of a batch of images, see `classActivation`; `explain` does it for one image with all that it takes to draw it.
 * @param images [N, C, H, W] as the model takes them
 * @throws OptionError for an unknown tap or one that is no feature map; ShapeError where the images do not fit the model
 */
export async function gradCam(
  model: Classifier,
  images: HostTensor,
  options: GradCamOptions,
): Promise<GradCamResult> {
  const { tap, classes, method = "grad-cam", ...compileOptions } = options;
  const explain = ({ x, labels }: { x: Tensor; labels?: Tensor }) => {
    const pass = forwardPass(model, x, {});
    const logits = requireLogits(pass); // [N, K]
    const [heat] = classActivation(logits, [findFeatures(tap, pass)], {
      method,
      ...(labels ? { classes: labels } : {}),
    });
    return { heat: heat!, logits };
  };
  const inputs = { x: images, ...(classes ? { labels: classes } : {}) };
  const executable = await compile(trace(explain, inputs, { model }), compileOptions);
  try {
    const { outputs, taps } = await executable.run(inputs);
    return { heat: outputs.heat!, logits: outputs.logits!, taps };
  } finally {
    await executable.close();
  }
}

function findFeatures(tap: string, pass: Pass): CamFeatures {
  const usable = new Map(camFeatures(pass, {}));
  const features = usable.get(tap);
  if (features) return features;
  const known = [...usable.keys()].join(", ") || "none";
  throw new OptionError(`gradCam: no feature map is tapped as "${tap}"; the model has ${known}`);
}
