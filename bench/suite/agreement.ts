/** What a contestant made of the same weights and inputs. */
export interface Finding {
  /** Logits of a forward pass. */
  readonly output?: ArrayLike<number>;
  /** Of the first step. */
  readonly loss?: number;
  readonly gradientNorm?: number;
}

/**
 * Relative differences that float32 explains. The norm of ResNeSt's gradients, which go through normalization over a batch of four
 * values, moves by 1.6e-3 between runs of PyTorch with one thread and with two.
 */
const tolerances = { output: 1e-3, loss: 1e-4, gradientNorm: 5e-3 } as const;

/** How far two contestants are apart. */
export interface Agreement {
  /** The largest relative difference. */
  readonly difference: number;
  /** Says what differs by too much; undefined where they agree. */
  readonly problem: string | undefined;
}

/** Compares a contestant's numbers with ours. What one of the two has not found is a difference. */
export function compareFindings(theirs: Finding, ours: Finding): Agreement {
  const names = (["output", "loss", "gradientNorm"] as const).filter(
    (name) => theirs[name] !== undefined || ours[name] !== undefined,
  );
  const differences = names.map((name) => [name, difference(theirs[name], ours[name])] as const);
  const wrong = differences.find(([name, value]) => !(value <= tolerances[name]));
  return {
    difference: Math.max(0, ...differences.map(([, value]) => value)),
    problem:
      wrong &&
      `${wrong[0]} differs from fovea's by ${wrong[1].toExponential(1)}, relatively; ${tolerances[wrong[0]]} is allowed`,
  };
}

type Found = ArrayLike<number> | number | undefined;

/** max |a - b| / max |b|; infinite where sizes differ or a value is not finite. */
function difference(theirs: Found, ours: Found): number {
  const [a, b] = [valuesOf(theirs), valuesOf(ours)];
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  let [largest, scale] = [0, 0];
  for (let index = 0; index < a.length; index++) {
    const distance = Math.abs(a[index]! - b[index]!);
    if (!Number.isFinite(distance)) return Number.POSITIVE_INFINITY;
    largest = Math.max(largest, distance);
    scale = Math.max(scale, Math.abs(b[index]!));
  }
  return largest === 0 ? 0 : largest / scale;
}

function valuesOf(found: Found): ArrayLike<number> {
  if (found === undefined) return [];
  return typeof found === "number" ? [found] : found;
}
