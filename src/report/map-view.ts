import type { HeatMap } from "./image.js";

/** A plane of values: over the image where its grid is the image's, else by itself. */
export interface HeatView {
  readonly form: "heat";
  readonly label: string;
  readonly heat: HeatMap;
  /** Rows and columns are those of the image. */
  readonly overImage: boolean;
  /** Values speak for and against something: drawn around zero in two colours. */
  readonly signed: boolean;
}

/** A row of values, such as the gates of channels or the weights of branches. */
export interface BarsView {
  readonly form: "bars";
  readonly label: string;
  readonly values: Float32Array;
  /** Closed range of the values, where it is known. */
  readonly range?: readonly [low: number, high: number];
}

/** A picture of a map or of a part of it, as values. */
export type MapView = HeatView | BarsView;
