import { describe, expect, it } from "vitest";
import type { Canvas } from "../../src/report/canvas.js";
import { colormap } from "../../src/report/colormap.js";
import { heatShader } from "../../src/report/image.js";
import { mapGallery } from "../../src/report/map-gallery.js";
import { mapPicture } from "../../src/report/map-picture.js";
import type { HeatView, MapView } from "../../src/report/map-view.js";

const grey = { data: new Float32Array(3 * 20 * 30).fill(0.5), shape: [3, 20, 30] };

function heatView(values: number[], shape: [number, number], change: Partial<HeatView> = {}): HeatView {
  const heat = { data: Float32Array.from(values), shape };
  return { form: "heat", label: "map", heat, overImage: true, signed: false, ...change };
}

function pixel(canvas: Canvas, column: number, row: number): number[] {
  return [...canvas.data.slice((row * canvas.width + column) * 4, (row * canvas.width + column) * 4 + 3)];
}

/** `color` over grey 127.5 at an opacity. */
function blended(color: readonly number[], opacity: number): number[] {
  return color.map((channel) => channel * opacity + 127.5 * (1 - opacity));
}

function expectColor(found: number[], expected: number[]): void {
  for (const [channel, value] of expected.entries()) {
    expect(Math.abs(found[channel]! - value)).toBeLessThanOrEqual(1.5);
  }
}

describe("picture of a map", () => {
  it.each([
    [20, 30, 240, 160],
    [3, 2, 150, 225],
    [300, 500, 500, 300],
    [1, 224, 224, 1],
  ])("of an image of %d x %d is %d wide and %d high", (height, width, wide, high) => {
    const image = { data: new Float32Array(height * width).fill(1), shape: [1, height, width] };
    const canvas = mapPicture(image, heatView([0, 1, 2, 3], [2, 2]));
    expect([canvas.width, canvas.height]).toEqual([wide, high]);
    expect(new Set(new Uint32Array(canvas.data.buffer)).size).toBeGreaterThan(20);
  });

  it("blends the perceptual colours of the smallest and the largest value over the image", () => {
    const canvas = mapPicture(grey, heatView([2, 2, 5, 5], [2, 2]));
    expectColor(pixel(canvas, 0, 0), blended(colormap("inferno")(0), 0.35));
    expectColor(pixel(canvas, 239, 159), blended(colormap("inferno")(1), 0.85));
    // Pixel 80 of 160 rows lies at row 0.50625 of the map: values are interpolated, and coloured after.
    expectColor(pixel(canvas, 120, 80), blended(colormap("inferno")(0.50625), 0.35 + 0.5 * 0.50625));
  });

  it("draws signed maps around zero: the image itself is left where nothing counts", () => {
    const signed = { signed: true } as const;
    const canvas = mapPicture(grey, heatView([0, -1, 4], [1, 3], signed));
    expectColor(pixel(canvas, 0, 0), [127.5, 127.5, 127.5]);
    expectColor(pixel(canvas, 120, 80), blended(colormap("rdbu")(0.375), 0.9 * 0.25));
    expectColor(pixel(canvas, 239, 80), blended(colormap("rdbu")(1), 0.9));
    // A single pixel that counts far more than all others does not make them pale.
    const values = Array<number>(200).fill(-1).with(199, 1000);
    expectColor(
      pixel(mapPicture(grey, heatView(values, [1, 200], signed)), 0, 0),
      blended(colormap("rdbu")(0), 0.9),
    );
    const nothing = mapPicture(grey, heatView([0, 0], [1, 2], signed));
    expectColor(pixel(nothing, 0, 0), [127.5, 127.5, 127.5]);
  });

  it("takes the range of a signed map from its own values where none is given", () => {
    const heat = { data: Float32Array.of(-1, 4), shape: [1, 2] };
    const shade = heatShader(heat, { map: "rdbu", signed: true, opacity: [0, 1] })(2, 1);
    expect(shade(0, 0)).toEqual([...colormap("rdbu")(0.375), 0.25]);
    expect(shade(1, 0)).toEqual([...colormap("rdbu")(1), 1]);
  });

  it("draws what does not lie in the image cell by cell", () => {
    const canvas = mapPicture(grey, heatView([0, 1, 1, 0, 1, 0], [2, 3], { overImage: false }));
    expect([canvas.width, canvas.height]).toEqual([225, 150]);
    expectColor(pixel(canvas, 0, 0), [...colormap("inferno")(0)]);
    expectColor(pixel(canvas, 80, 0), [...colormap("inferno")(1)]);
    expectColor(pixel(canvas, 224, 149), [...colormap("inferno")(0)]);
  });

  it("draws bars as high as their values", () => {
    const values = Float32Array.of(1, 0.5, 0, 0.25);
    const canvas = mapPicture(grey, { form: "bars", label: "gates", values, range: [0, 1] });
    expect([canvas.width, canvas.height]).toEqual([480, 160]);
    const heights = [50, 170, 290, 410].map((column) => {
      const background = pixel(canvas, 0, 0).join();
      return Array.from({ length: 160 }, (_, row) => pixel(canvas, column, row).join()).filter(
        (color) => color !== background,
      ).length;
    });
    expect(heights).toEqual([152, 76, 1, 38]);
    const many = Float32Array.from({ length: 2000 }, (_, at) => at);
    expect(mapPicture(grey, { form: "bars", label: "gates", values: many }).width).toBe(480);
  });
});

describe("gallery of maps", () => {
  const views: MapView[] = [
    heatView([0, 1, 2, 3], [2, 2]),
    { form: "bars", label: "3 channels", values: Float32Array.of(0.2, 0.4, 0.6), range: [0, 1] },
    heatView([0, 1, 2, 3], [2, 2], { overImage: false }),
  ];

  it("shows the image and every picture of every map", () => {
    const one = mapGallery(grey, [{ name: "layer1.0.se", views }], { title: "Maps", density: 1 });
    expect(one.width).toBe(4 * 182 - 14 + 64);
    expect(new Set(new Uint32Array(one.data.buffer)).size).toBeGreaterThan(100);
    const maps = Array.from({ length: 3 }, (_, at) => ({ name: `layer${at}.0.se`, views }));
    const three = mapGallery(grey, maps, { title: "Maps", subtitle: "of an image", density: 1 });
    expect(three.height).toBeGreaterThan(one.height + 2 * 216);
  });

  it("shows only the whole of each map where there are many, and refuses more than it can", () => {
    const maps = Array.from({ length: 50 }, (_, at) => ({ name: `block${at}.attention`, views }));
    const canvas = mapGallery(grey, maps, { title: "Maps", density: 1 });
    expect(canvas.height).toBeLessThan(7 * 230 + 130);
    expect(() => mapGallery(grey, [], { title: "Maps" })).toThrow(/expected 1 to 400 maps; found 0/);
    const many = Array.from({ length: 401 }, () => ({ name: "map", views }));
    expect(() => mapGallery(grey, many, { title: "Maps" })).toThrow(/found 401/);
  });
});
