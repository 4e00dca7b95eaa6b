import { crc32 } from "../base/crc32.js";
import { OptionError } from "../base/errors.js";

/** RGBA, 8 bits a channel, straight alpha, row-major; `Canvas` and `ImageData` are such. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

function chunk(type: string, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(body.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, body.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(body, 8);
  view.setUint32(body.length + 8, crc32(bytes.subarray(4, body.length + 8)));
  return bytes;
}

/** Predicts a byte from its left, upper and upper-left neighbours, one rule per PNG filter type. */
const predictors: readonly ((left: number, up: number, corner: number) => number)[] = [
  () => 0,
  (left) => left,
  (_left, up) => up,
  (left, up) => (left + up) >> 1,
  (left, up, corner) => {
    const [dl, du, dc] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
    return dl <= du && dl <= dc ? left : du <= dc ? up : corner;
  },
];

/** Rows with the filter that leaves the smallest residues, the usual heuristic for true-colour images. */
function filterRows(
  pixels: Uint8Array,
  stride: number,
  rows: number,
  bytesPerPixel: number,
): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array((stride + 1) * rows);
  const candidate = new Uint8Array(stride);
  for (let row = 0; row < rows; row++) {
    const base = row * stride;
    let best = Infinity;
    for (const [type, predict] of predictors.entries()) {
      let cost = 0;
      for (let i = 0; i < stride && cost < best; i++) {
        const left = i >= bytesPerPixel ? pixels[base + i - bytesPerPixel]! : 0;
        const up = row > 0 ? pixels[base + i - stride]! : 0;
        const corner = row > 0 && i >= bytesPerPixel ? pixels[base + i - stride - bytesPerPixel]! : 0;
        const residue = (pixels[base + i]! - predict(left, up, corner)) & 0xff;
        candidate[i] = residue;
        cost += residue < 128 ? residue : 256 - residue;
      }
      if (cost < best) {
        best = cost;
        result[row * (stride + 1)] = type;
        result.set(candidate, row * (stride + 1) + 1);
      }
    }
  }
  return result;
}

async function deflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * A picture as the bytes of a PNG file (8-bit RGB where it is opaque, else RGBA; sRGB). PNG specification, third edition.
 * Deflate is the platform's own CompressionStream, which Node.js and browsers have.
 * @throws OptionError where the data do not hold width x height pixels.
 */
export async function encodePng({ width, height, data }: Pixels): Promise<Uint8Array> {
  if (!(width >= 1 && height >= 1) || data.length !== width * height * 4) {
    throw new OptionError(`png: expected ${width} x ${height} x 4 bytes; found ${data.length}`);
  }
  let opaque = true;
  for (let i = 3; i < data.length && opaque; i += 4) opaque = data[i] === 255;
  const channels = opaque ? 3 : 4;
  const pixels = new Uint8Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < channels; c++) pixels[i * channels + c] = data[i * 4 + c]!;
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, opaque ? 2 : 6, 0, 0, 0], 8);
  const parts = [
    signature,
    chunk("IHDR", header),
    chunk("sRGB", Uint8Array.of(0)),
    chunk("IDAT", await deflate(filterRows(pixels, width * channels, height, channels))),
    chunk("IEND", new Uint8Array()),
  ];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}
