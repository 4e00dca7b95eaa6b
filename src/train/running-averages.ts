/** Weighted sums, as they are stored. */
export interface AverageTotals {
  readonly weight: number;
  /** Sums of value times weight, by name. */
  readonly sums: Readonly<Record<string, number>>;
}

/** Weighted averages of named values, of an epoch or a data set; summed in float64 in the order of addition. */
export class RunningAverages {
  #weight: number;
  readonly #sums: Map<string, number>;

  constructor(totals: AverageTotals = { weight: 0, sums: {} }) {
    this.#weight = totals.weight;
    this.#sums = new Map(Object.entries(totals.sums));
  }

  /** Sum of the weights. */
  get weight(): number {
    return this.#weight;
  }

  /** Adds averages over `weight` samples. */
  add(values: Readonly<Record<string, number>>, weight: number): void {
    this.#weight += weight;
    for (const [name, value] of Object.entries(values)) {
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value * weight);
    }
  }

  /** Adds sums over `weight` samples. */
  addSums(sums: Readonly<Record<string, number>>, weight: number): void {
    this.#weight += weight;
    for (const [name, value] of Object.entries(sums)) {
      this.#sums.set(name, (this.#sums.get(name) ?? 0) + value);
    }
  }

  /** The averages, by name. */
  averages(): Record<string, number> {
    return Object.fromEntries([...this.#sums].map(([name, sum]) => [name, sum / this.#weight]));
  }

  /** What the averages can be continued from. */
  totals(): AverageTotals {
    return { weight: this.#weight, sums: Object.fromEntries(this.#sums) };
  }
}
