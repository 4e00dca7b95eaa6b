import type { HostTensor } from "../../base/dtype.js";

/**
 * Constant filters [K, C, R, S] as blocked convolutions read them: [K/b, C/c, R, S, c, b] for blocks of b filters and of c channels, with
 * zeros up to whole blocks. The shape is written as if it were plain.
 */
export function filtersInBlocks({ shape, data }: HostTensor, b: number, c: number): HostTensor {
  const [filters, channels, height, width] = shape as [number, number, number, number];
  const taps = height * width;
  const [filterBlocks, channelBlocks] = [Math.ceil(filters / b), Math.ceil(channels / c)];
  const values = new Float32Array(filterBlocks * b * channelBlocks * c * taps);
  let at = 0;
  for (let k = 0; k < filters; k++) {
    for (let channel = 0; channel < channels; channel++) {
      const first =
        ((Math.floor(k / b) * channelBlocks + Math.floor(channel / c)) * taps * c + (channel % c)) * b +
        (k % b);
      for (let tap = 0; tap < taps; tap++) values[first + tap * c * b] = Number(data[at++]);
    }
  }
  return { dtype: "float32", shape: [filterBlocks * b, channelBlocks * c, height, width], data: values };
}
