import { checkNumber } from "../base/check.js";
import { DataError } from "../base/errors.js";

/** Centre x, centre y, width, height, in any one unit. */
export type Box = readonly [x: number, y: number, width: number, height: number];

/** An object in an image. */
export interface DetectionTarget {
  readonly image: number;
  readonly class: number;
  readonly box: Box;
}

/** A predicted object; of a larger score it is more certain. */
export interface Detection extends DetectionTarget {
  readonly score: number;
}

/** How well objects are detected. */
export interface AveragePrecision {
  /** Mean over the classes that have objects. */
  readonly mean: number;
  /** By class, in ascending order; classes without objects are left out. */
  readonly perClass: ReadonlyMap<number, number>;
}

/** Intersection over union of two boxes; 0 where both have no area. */
export function boxIou(a: Box, b: Box): number {
  const overlap = (axis: 0 | 1, length: 2 | 3) =>
    Math.max(
      0,
      Math.min(a[axis] + a[length] / 2, b[axis] + b[length] / 2) -
        Math.max(a[axis] - a[length] / 2, b[axis] - b[length] / 2),
    );
  const intersection = overlap(0, 2) * overlap(1, 3);
  const union = a[2] * a[3] + b[2] * b[3] - intersection;
  return union > 0 ? intersection / union : 0;
}

/**
 * Average precision per class: the area under precision over recall, precision taken as the best at that recall or a larger one, over all
 * points. A detection is right where it overlaps an object of its class and image that no surer detection has taken; it tries the
 * object with the largest overlap. Everingham et al.: The PASCAL Visual Object Classes Challenge: A Retrospective, IJCV 2015,
 * section 4.2 (as from 2010).
 * @param options.iou overlap from which on a detection is right; 0.5 by default
 * @throws DataError without objects; OptionError for an overlap outside of (0, 1]
 */
export function averagePrecision(
  detections: readonly Detection[],
  objects: readonly DetectionTarget[],
  options: { readonly iou?: number } = {},
): AveragePrecision {
  const { iou = 0.5 } = options;
  checkNumber("averagePrecision", "iou", iou, { min: Number.MIN_VALUE, max: 1 });
  if (objects.length === 0) throw new DataError("averagePrecision: there are no objects to be found");
  const classes = [...new Set(objects.map((object) => object.class))].sort((a, b) => a - b);
  const perClass = new Map(
    classes.map((number) => {
      const ofClass = <T extends DetectionTarget>(all: readonly T[]) =>
        all.filter((one) => one.class === number);
      return [number, ofOneClass(ofClass(detections), ofClass(objects), iou)];
    }),
  );
  const mean = [...perClass.values()].reduce((total, value) => total + value, 0) / perClass.size;
  return { mean, perClass };
}

function ofOneClass(
  detections: readonly Detection[],
  objects: readonly DetectionTarget[],
  iou: number,
): number {
  const byImage = new Map<number, DetectionTarget[]>();
  for (const object of objects) byImage.set(object.image, [...(byImage.get(object.image) ?? []), object]);
  const taken = new Set<DetectionTarget>();
  const points: { precision: number; found: number }[] = [];
  const ranked = detections.toSorted((a, b) => b.score - a.score);
  for (const [index, { image, box }] of ranked.entries()) {
    const overlaps = (byImage.get(image) ?? []).map((object) => ({
      object,
      overlap: boxIou(box, object.box),
    }));
    const best = overlaps.reduce<(typeof overlaps)[number] | undefined>(
      (most, next) => (most && most.overlap >= next.overlap ? most : next),
      undefined,
    );
    if (best && best.overlap >= iou) taken.add(best.object);
    points.push({ precision: taken.size / (index + 1), found: taken.size });
  }
  let area = 0;
  let precision = 0;
  for (const [index, point] of [...points.entries()].reverse()) {
    precision = Math.max(precision, point.precision);
    const before = points[index - 1]?.found ?? 0;
    area += precision * (point.found - before);
  }
  return area / objects.length;
}
