import { checkInteger } from "../base/check.js";
import { DataError } from "../base/errors.js";

/** Counts of predicted classes for each true class, and what follows from them. */
export class ConfusionMatrix {
  readonly classes: number;
  readonly #counts: Float64Array;

  /** @throws OptionError where the number of classes is no integer of at least 1 */
  constructor(classes: number) {
    checkInteger("ConfusionMatrix", "classes", classes, { min: 1, max: 2 ** 14 });
    this.classes = classes;
    this.#counts = new Float64Array(classes * classes);
  }

  /** Counts samples. @throws DataError where lengths differ or a label or prediction is no class; nothing is counted then */
  add(labels: ArrayLike<number | bigint>, predictions: ArrayLike<number | bigint>): void {
    if (labels.length !== predictions.length) {
      throw new DataError(`confusion matrix: ${labels.length} labels, but ${predictions.length} predictions`);
    }
    const cells = Array.from(
      { length: labels.length },
      (_, index) =>
        this.#class("label", labels[index]!) * this.classes + this.#class("prediction", predictions[index]!),
    );
    for (const cell of cells) this.#counts[cell]! += 1;
  }

  #class(what: string, value: number | bigint): number {
    const index = Number(value);
    if (!(Number.isInteger(index) && index >= 0 && index < this.classes)) {
      throw new DataError(`confusion matrix: ${what} ${value}; the classes are 0 to ${this.classes - 1}`);
    }
    return index;
  }

  /** Number of samples of class `label` that were predicted to be of class `prediction`. */
  count(label: number, prediction: number): number {
    return this.#counts[this.#class("label", label) * this.classes + this.#class("prediction", prediction)]!;
  }

  /** Number of samples. */
  get total(): number {
    return this.#counts.reduce((total, count) => total + count, 0);
  }

  /** Share of samples on the diagonal; not a number without samples. */
  get accuracy(): number {
    return this.#sum((index) => this.count(index, index)) / this.total;
  }

  /** Share of the samples predicted to be of a class that are; not a number where none was predicted. */
  precision(label: number): number {
    return this.count(label, label) / this.#sum((index) => this.count(index, label));
  }

  /** Share of a class's samples that were found; not a number where the class has none. */
  recall(label: number): number {
    return this.count(label, label) / this.#sum((index) => this.count(label, index));
  }

  /** Intersection over union of a class's samples and those predicted to be of it; not a number where there are neither. */
  iou(label: number): number {
    const found = this.count(label, label);
    const labelled = this.#sum((index) => this.count(label, index));
    return found / (labelled + this.#sum((index) => this.count(index, label)) - found);
  }

  /** Mean intersection over union of the classes that occur; not a number without samples. */
  get meanIou(): number {
    const known = Array.from({ length: this.classes }, (_, label) => this.iou(label)).filter(
      (value) => !Number.isNaN(value),
    );
    return known.reduce((total, value) => total + value, 0) / known.length;
  }

  /** The counts, a row per true class. */
  rows(): number[][] {
    return Array.from({ length: this.classes }, (_, label) =>
      Array.from({ length: this.classes }, (_, prediction) => this.count(label, prediction)),
    );
  }

  #sum(count: (index: number) => number): number {
    let total = 0;
    for (let index = 0; index < this.classes; index++) total += count(index);
    return total;
  }
}
