import { normalizeWindow, windowCounts } from "../ops/window.js";
import type { NamedSize, Sizes } from "./sizes.js";

/** A square window that slides over an image. */
export interface SquareWindow {
  readonly kernel: number;
  readonly stride?: number;
  readonly padding?: number;
  readonly dilation?: number;
}

/** Number of positions of a window over an image of the sizes `height` and `width`. */
export function positionCount({ height = 1, width = 1 }: Sizes, window: SquareWindow): number {
  const { kernel, ...attributes } = window;
  const [rows, columns] = windowCounts([height, width], [kernel, kernel], normalizeWindow(attributes, 2));
  return rows! * columns!;
}

/** Height and width of what a window makes of an image: the same names where it keeps the size. */
export function positionNames(window: SquareWindow): [height: NamedSize, width: NamedSize] {
  const { kernel, stride = 1, padding = 0, dilation = 1 } = window;
  const keepsSize = stride === 1 && 2 * padding === dilation * (kernel - 1);
  return keepsSize ? ["height", "width"] : ["outHeight", "outWidth"];
}
