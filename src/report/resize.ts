/**
 * How a picture is brought to another size: blocks of equal values, linear interpolation, or cubic convolution (smooth
 * slopes, may overshoot a little). The latter two average where the picture shrinks.
 */
export type Interpolation = "nearest" | "bilinear" | "cubic";

interface Kernel {
  readonly reach: number;
  /** Weight at a distance in samples. */
  readonly weight: (distance: number) => number;
}

const kernels: Readonly<Record<Exclude<Interpolation, "nearest">, Kernel>> = {
  bilinear: { reach: 1, weight: (d) => Math.max(0, 1 - d) },
  // Keys: Cubic Convolution Interpolation for Digital Image Processing, 1981, with a = -0.5.
  cubic: {
    reach: 2,
    weight: (d) => (d < 1 ? (1.5 * d - 2.5) * d * d + 1 : d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0),
  },
};

/** Weights of the source samples that make one target sample. */
interface Sample {
  readonly first: number;
  readonly weights: readonly number[];
}

function samples(from: number, to: number, interpolation: Interpolation): Sample[] {
  const ratio = from / to;
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * ratio;
    if (interpolation === "nearest") return { first: Math.min(Math.floor(center), from - 1), weights: [1] };
    const kernel = kernels[interpolation];
    // Stretched where the picture shrinks, so that every sample counts.
    const stretch = Math.max(1, ratio);
    const reach = kernel.reach * stretch;
    const first = Math.max(0, Math.ceil(center - 0.5 - reach));
    const last = Math.min(from - 1, Math.floor(center - 0.5 + reach));
    const raw = Array.from({ length: last - first + 1 }, (_, k) =>
      kernel.weight(Math.abs(first + k + 0.5 - center) / stretch),
    );
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, weights: raw.map((w) => w / sum) };
  });
}

/**
 * Resizes a plane of values; pixel centres lie at half indices (no aligned corners) and the border is repeated.
 * @param values [height, width], row-major
 * @returns [toHeight, toWidth]
 */
export function resizePlane(
  values: Float32Array,
  [height, width]: readonly [height: number, width: number],
  [toHeight, toWidth]: readonly [height: number, width: number],
  interpolation: Interpolation,
): Float32Array {
  const columns = samples(width, toWidth, interpolation);
  const rows = samples(height, toHeight, interpolation);
  const wide = new Float32Array(height * toWidth);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < toWidth; x++) {
      const { first, weights } = columns[x]!;
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * values[y * width + first + k]!;
      wide[y * toWidth + x] = sum;
    }
  }
  const result = new Float32Array(toHeight * toWidth);
  for (let y = 0; y < toHeight; y++) {
    const { first, weights } = rows[y]!;
    for (let k = 0; k < weights.length; k++) {
      const [weight, base] = [weights[k]!, (first + k) * toWidth];
      for (let x = 0; x < toWidth; x++) result[y * toWidth + x]! += weight * wide[base + x]!;
    }
  }
  return result;
}
