/** Median, smallest and largest of measured values. */
export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, least: sorted[0]!, most: sorted.at(-1)! };
}

/** Something that is timed: one call is one measurement. */
export interface Contestant {
  readonly name: string;
  run(): Promise<void>;
}

/**
 * Milliseconds of each contestant over interleaved rounds (A B C A B C ...), so that a disturbance of the machine meets all of them.
 * Every contestant is run `warmUps` times first.
 */
export async function interleaved(
  contestants: readonly Contestant[],
  options: { readonly rounds: number; readonly warmUps: number },
): Promise<Map<string, Spread>> {
  const times = new Map<string, number[]>(contestants.map(({ name }) => [name, []]));
  for (const { run } of contestants) for (let round = 0; round < options.warmUps; round++) await run();
  for (let round = 0; round < options.rounds; round++) {
    for (const { name, run } of contestants) {
      const start = performance.now();
      await run();
      times.get(name)!.push(performance.now() - start);
    }
  }
  return new Map([...times].map(([name, values]) => [name, spreadOf(values)]));
}
