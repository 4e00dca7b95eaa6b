/** Gaussian blur of each plane; the border is repeated. @param data [channels, height, width]  @param deviation in pixels */
export function blur(
  data: Float32Array,
  [channels, height, width]: readonly number[],
  deviation: number,
): Float32Array {
  const reach = Math.ceil(3 * deviation);
  const raw = Array.from({ length: 2 * reach + 1 }, (_, at) =>
    Math.exp(-(((at - reach) / deviation) ** 2) / 2),
  );
  const total = raw.reduce((sum, weight) => sum + weight, 0);
  const kernel = raw.map((weight) => weight / total);
  const size = height! * width!;
  const along = (from: Float32Array, length: number, step: number, startOf: (line: number) => number) => {
    const out = new Float32Array(from.length);
    for (let line = 0; line < from.length / length; line++) {
      const start = startOf(line);
      for (let at = 0; at < length; at++) {
        let sum = 0;
        for (let k = -reach; k <= reach; k++) {
          const source = Math.min(Math.max(at + k, 0), length - 1);
          sum += kernel[k + reach]! * from[start + source * step]!;
        }
        out[start + at * step] = sum;
      }
    }
    return out;
  };
  const rows = along(data.slice(0, channels! * size), width!, 1, (line) => line * width!);
  return along(rows, height!, width!, (line) => Math.floor(line / width!) * size + (line % width!));
}
