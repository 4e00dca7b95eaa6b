/** Median, smallest and largest of measured values. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Spread of at least one value; of an even number the median is the upper of the middle two. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, least: sorted[0]!, most: sorted.at(-1)! };
}

/** Something that is timed: one call is one measurement. */
export interface Contestant {
  readonly name: string;
  run(): Promise<void>;
}

/** How to measure. */
export interface InterleavedOptions {
  readonly rounds: number;
  /** Calls of every contestant before the first round. */
  readonly warmUps: number;
  /**
   * Makes every turn begin with this many milliseconds of rest and one call that is not counted: the waiting threads of the session
   * before spin for a while and would slow the call. Without it a turn is one call.
   */
  readonly rest?: number;
}

/**
 * Milliseconds of each contestant over interleaved rounds (A B C A B C ...), so that a disturbance of the machine meets all of them.
 * Names are distinct.
 */
export async function interleaved(
  contestants: readonly Contestant[],
  { rounds, warmUps, rest }: InterleavedOptions,
): Promise<Map<string, Spread>> {
  const times = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (const contestant of contestants) {
    for (let round = 0; round < warmUps; round++) await contestant.run();
  }
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) {
      if (rest !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, rest));
        await contestant.run();
      }
      const start = performance.now();
      await contestant.run();
      times.get(contestant.name)!.push(performance.now() - start);
    }
  }
  return new Map([...times].map(([name, values]) => [name, spreadOf(values)]));
}
