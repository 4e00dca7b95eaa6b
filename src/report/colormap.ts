import { OptionError } from "../base/errors.js";
import { inferno, rdbu, viridis } from "./generated/colormaps.js";

/** sRGB colour, each channel an integer in 0..255. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** Colour map: position in 0..1 to colour; positions outside are clamped, NaN takes the lowest colour. */
export type Colormap = (t: number) => Rgb;

const tables = { viridis, inferno, rdbu } as const;

/** viridis and inferno are perceptually uniform, dark to light; rdbu diverges from blue over near-white to red, its centre at 0.5. */
export type ColormapName = keyof typeof tables;

/** Names of the colour maps. */
export const colormapNames = Object.keys(tables) as readonly ColormapName[];

function parse(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}

const parsed = new Map<ColormapName, Colormap>();

/**
 * A colour map by name; colours between the published ones are interpolated linearly in sRGB.
 * @throws OptionError for an unknown name.
 */
export function colormap(name: ColormapName): Colormap {
  const known = parsed.get(name);
  if (known !== undefined) return known;
  if (!Object.hasOwn(tables, name)) {
    throw new OptionError(
      `colormap: expected one of ${colormapNames.join(", ")}; found ${JSON.stringify(name)}`,
    );
  }
  const colors = parse(tables[name]);
  const last = colors.length / 3 - 1;
  const map: Colormap = (t) => {
    const position = (t > 0 ? Math.min(t, 1) : 0) * last;
    const low = Math.min(Math.floor(position), last - 1);
    const mix = (channel: number) => {
      const from = colors[3 * low + channel]!;
      return Math.round(from + (colors[3 * low + 3 + channel]! - from) * (position - low));
    };
    return [mix(0), mix(1), mix(2)];
  };
  parsed.set(name, map);
  return map;
}
