import fc from "fast-check";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { encodePng, type Pixels } from "../../src/report/png.js";

async function decoded(pixels: Pixels) {
  const file = await encodePng(pixels);
  const { data, info } = await sharp(file).ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return { file, width: info.width, height: info.height, data: [...data] };
}

describe("PNG", () => {
  it("decodes to the same pixels in another decoder", async () => {
    const size = fc.integer({ min: 1, max: 12 });
    const pictures = fc.tuple(size, size, fc.boolean()).chain(([width, height, opaque]) =>
      fc.uint8Array({ minLength: width * height * 4, maxLength: width * height * 4 }).map((bytes) => ({
        width,
        height,
        data: Uint8ClampedArray.from(bytes, (v, i) => (opaque && i % 4 === 3 ? 255 : v)),
      })),
    );
    await fc.assert(
      fc.asyncProperty(pictures, async (picture) => {
        const { width, height, data } = await decoded(picture);
        expect([width, height, data]).toEqual([picture.width, picture.height, [...picture.data]]);
      }),
      { numRuns: 40 },
    );
  });

  it("stores smooth pictures small and opaque ones without alpha", async () => {
    const [width, height] = [200, 100];
    const data = Uint8ClampedArray.from({ length: width * height * 4 }, (_, i) =>
      i % 4 === 3 ? 255 : (Math.floor(i / 4) % width) + (i % 4) * 9,
    );
    const { file, data: back } = await decoded({ width, height, data });
    expect(back).toEqual([...data]);
    expect(file[25]).toBe(2);
    expect(file.length).toBeLessThan(1500);
    data[3] = 254;
    expect((await encodePng({ width, height, data }))[25]).toBe(6);
  });

  it("refuses data of another size", async () => {
    const data = new Uint8ClampedArray(15);
    await expect(encodePng({ width: 2, height: 2, data })).rejects.toThrow(/2 x 2 x 4 bytes; found 15/);
    await expect(encodePng({ width: 0, height: 2, data: new Uint8ClampedArray() })).rejects.toThrow(/png/);
  });
});
