import { DataError } from "../base/errors.js";
import { palette, shortNames } from "./attention-card.js";
import { Canvas } from "./canvas.js";
import { fitText } from "./font.js";
import { type HeadingWords, layOutHeading } from "./heading.js";
import type { ImagePlanes } from "./image.js";
import { drawImage } from "./image-tile.js";
import { drawView, valueRange } from "./map-picture.js";
import type { MapView } from "./map-view.js";
import { formatValue } from "./units.js";

/** A map with its pictures, the whole first. */
export interface GalleryMap {
  /** Path or name that the pictures are shown under. */
  readonly name: string;
  readonly views: readonly MapView[];
}

/** Words of the gallery. */
export interface MapGalleryOptions extends HeadingWords {
  /** Device pixels per logical pixel; default 2. */
  readonly density?: number;
}

const margin = 32;
const gap = 14;
const tile = 168;
const caption = 48;
const headingStyle = { title: { size: 22, line: 30 }, subtitle: { size: 13, line: 19 }, below: 14 };
const textSize = 11;
const maxColumns = 8;
/** Above it only the whole of each map is shown. */
const manyPictures = 120;
const maxPictures = 400;

/**
 * All maps of an image in one picture: the image, then each map and its parts with name and range of values.
 * @throws DataError without maps or above 400; ShapeError for an image or maps that do not hold what their shape says
 */
export function mapGallery(
  image: ImagePlanes,
  maps: readonly GalleryMap[],
  options: MapGalleryOptions,
): Canvas {
  if (maps.length === 0 || maps.length > maxPictures) {
    throw new DataError(`map gallery: expected 1 to ${maxPictures} maps; found ${maps.length}`);
  }
  const names = shortNames(maps.map(({ name }) => name));
  const all = maps.flatMap(({ views }, index) => views.map((view) => ({ name: names[index]!, view })));
  const wholes = maps.flatMap(({ views }, index) =>
    views.slice(0, 1).map((view) => ({ name: names[index]!, view })),
  );
  const shown = all.length > manyPictures ? wholes : all;

  const count = shown.length + 1;
  const columns = Math.min(count, maxColumns, Math.max(4, Math.ceil(Math.sqrt(count * 1.5))));
  const width = columns * (tile + gap) - gap;
  const heading = layOutHeading(options, headingStyle, width);
  const lines = Math.ceil(count / columns);
  const height = margin + heading.height + lines * (tile + caption + gap) - gap + margin;
  const canvas = new Canvas(width + 2 * margin, height, {
    density: options.density ?? 2,
    background: palette.page,
  });

  heading.draw(canvas, margin, margin);
  for (let index = 0; index < count; index++) {
    const left = margin + (index % columns) * (tile + gap);
    const top = margin + heading.height + Math.floor(index / columns) * (tile + caption + gap);
    const place = { x: left, y: top, size: tile };
    const item = shown[index - 1];
    if (item) drawView(canvas, image, item.view, place);
    else drawImage(canvas, image, place);
    const words = item ? [item.name, item.view.label, rangeText(item.view)] : ["image"];
    for (const [line, text] of words.entries()) {
      canvas.text(left, top + tile + 15 + line * 14, fitText(text, tile, textSize), {
        size: textSize,
        color: line === 0 ? palette.text : palette.muted,
        weight: line === 0 ? "medium" : "regular",
      });
    }
  }
  return canvas;
}

function rangeText(view: MapView): string {
  const [low, high] = valueRange(view.form === "heat" ? view.heat.data : view.values);
  return `${formatValue(low)} to ${formatValue(high)}`;
}
