import type { AxisRole, MapLayout } from "../attention/map-layout.js";
import type { AttentionMap } from "../attention/maps.js";
import type { HostTensor } from "../base/dtype.js";
import type { Model, Outputs } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import type { MapView } from "../report/map-view.js";
import type { CompileOptions } from "../runtime/executable.js";

/** A network of images; classifiers return one row of logits per image. */
export type ExplainableModel = Model & { forward(x: Tensor): Outputs } & (
    | { readonly lastFeatures?: undefined }
    | {
        /** Tap of the features [N, C, H, W] or tokens [N, T, D] where Grad-CAM looks. */
        readonly lastFeatures: string;
        /** Taps of the intermediate features by name, first to last: where it looks when the last ones have one place only. */
        readonly features?: Readonly<Record<string, string>>;
      }
  );

/** Names of the ways to explain. */
export const explainMethods = [
  "attention",
  "grad-cam",
  "grad-cam++",
  "rollout",
  "occlusion",
  "integrated-gradients",
] as const;

/**
 * How a network is explained. `attention`: the maps that its mechanisms make; `grad-cam`, `grad-cam++`: features weighted by the gradient
 * of a class; `rollout`: token attention followed through all layers; `occlusion`: what a class loses where the image is covered;
 * `integrated-gradients`: the gradient along the way from a blank image.
 */
export type ExplainMethodName = (typeof explainMethods)[number];

/** Options of `explain`; one that the method does not read is refused. */
export interface ExplainOptions extends Omit<CompileOptions, "taps"> {
  /** `attention` by default. */
  readonly method?: ExplainMethodName;
  /**
   * Patterns of taps, `*` for any characters: the attention maps to show (all that the mechanisms declare by default), or the features
   * that Grad-CAM looks at (the network's last ones by default), or the layers of the rollout.
   */
  readonly taps?: readonly string[];
  /** Classes to explain, a map each; the predicted one by default. */
  readonly classes?: readonly number[];
  /** Place [y, x] from 0 to 1 of the token whose attention is shown beside the whole; the middle by default. */
  readonly query?: readonly [y: number, x: number];
  /** Grid of the tokens where the mechanisms do not tell it, after `prefix` learned tokens, of which the first may be the class token. */
  readonly grid?: {
    readonly rows: number;
    readonly columns: number;
    readonly prefix?: number;
    readonly classToken?: boolean;
  };
  /** Occlusion: height and width of the window in pixels; about a seventh of the image's by default. */
  readonly window?: readonly [height: number, width: number];
  /** Occlusion: how far the window moves, rows and columns; half of it by default. */
  readonly stride?: readonly [rows: number, columns: number];
  /** What stands for no image: a value of every pixel, as the model takes it, or an image [C, H, W]; 0 by default. */
  readonly baseline?: number | HostTensor;
  /** Integrated gradients: points on the way; 50 by default. */
  readonly steps?: number;
  /** What is explained: the class's logit (default) or its probability. */
  readonly score?: "logit" | "probability";
  /** Images that occlusion and integrated gradients run at a time; 16 by default. */
  readonly batchSize?: number;
}

/** A map of one image: what a mechanism attended to, or where a class comes from. */
export interface ExplainedMap {
  /** Path of the tap; `input` for maps of the image's own pixels. */
  readonly tap: string;
  /** Path of the module that makes it; empty for the network. */
  readonly module: string;
  /** Id of the mechanism that declares it. */
  readonly mechanism?: string;
  /** Name of the map within its mechanism, or of the method. */
  readonly name: string;
  readonly kind: AttentionMap["kind"];
  /** The class that it speaks for. */
  readonly class?: number;
  /** Without the axis of the batch. */
  readonly values: HostTensor & { readonly data: Float32Array };
  /** What each axis of the values counts. */
  readonly axes: readonly AxisRole[];
  /** Where the tokens of a map of tokens lie. */
  readonly layout: MapLayout;
  /** Pictures of it, as values: the whole first, then heads, single maps, and the attention of one query. */
  readonly views: readonly MapView[];
}

/** What a network did with one image. */
export interface Explanation {
  readonly method: ExplainMethodName;
  /** Scores of the classes; empty for networks that are no classifiers. */
  readonly logits: Float32Array;
  /** Class of the highest score; undefined for networks that are no classifiers. */
  readonly prediction?: number;
  readonly maps: readonly ExplainedMap[];
  /**
   * Integrated gradients: by how much the sum of each map's values misses the difference of the class's score between image and
   * baseline; more steps make it smaller.
   */
  readonly missing?: readonly number[];
}

/** A network made ready to explain images of one shape. */
export interface Explainer {
  /** @param image [C, H, W] as the model takes it  @throws ShapeError for another shape; OptionError for a class that there is not */
  explain(image: HostTensor): Promise<Explanation>;
  /** Releases the sessions; again is fine. */
  close(): Promise<void>;
}
