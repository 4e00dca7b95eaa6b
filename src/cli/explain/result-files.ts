import { mkdir } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import type { ExplainedMap } from "../../explain/types.js";
import { writeNpy } from "../../formats/npy.js";
import type { ImagePlanes } from "../../report/image.js";
import { mapGallery } from "../../report/map-gallery.js";
import { mapPicture } from "../../report/map-picture.js";
import { encodePng } from "../../report/png.js";
import { fileError, replaceFile } from "../../train/node-atomic-file.js";

/** A map of an image and where it was written, relative to the image's folder. */
export interface WrittenMap {
  readonly tap: string;
  readonly mechanism?: string;
  readonly name: string;
  readonly kind: ExplainedMap["kind"];
  /** Name of the class that it speaks for. */
  readonly class?: string;
  readonly shape: readonly number[];
  /** Overlay, or bars. */
  readonly picture: string;
  /** The raw values. */
  readonly values: string;
}

/** What is drawn of an image. */
export interface ImageMaps {
  readonly image: ImagePlanes;
  readonly maps: readonly ExplainedMap[];
  readonly title: string;
  readonly subtitle: string;
  readonly classes: readonly string[];
}

/** Folders of the images below `root`, named like their files. */
export function imageFolders(root: string, images: readonly string[]): string[] {
  return fileNames(images.map((image) => basename(image, extname(image)))).map((name) => join(root, name));
}

/** Writes a picture and the values of every map, and all pictures as one. @throws DataError where the folder cannot be written */
export async function writeMaps(
  folder: string,
  { image, maps, classes, ...words }: ImageMaps,
): Promise<WrittenMap[]> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw fileError(`${folder} cannot be made`, error);
  }
  const written: WrittenMap[] = [];
  const severalClasses = new Set(maps.map((map) => map.class)).size > 1;
  const nameOf = (map: ExplainedMap) => (map.class === undefined ? undefined : classes[map.class]!);
  const names = maps.map((map) => (severalClasses && nameOf(map) ? `${map.tap}-${nameOf(map)}` : map.tap));
  const stems = fileNames(names, [basename(galleryFile, ".png")]);
  for (const [index, map] of maps.entries()) {
    const name = nameOf(map);
    const [picture, values] = [`${stems[index]}.png`, `${stems[index]}.npy`];
    await replaceFile(join(folder, picture), await encodePng(mapPicture(image, map.views[0]!)));
    await replaceFile(join(folder, values), writeNpy(map.values));
    written.push({
      tap: map.tap,
      ...(map.mechanism === undefined ? {} : { mechanism: map.mechanism }),
      name: map.name,
      kind: map.kind,
      ...(name === undefined ? {} : { class: name }),
      shape: map.values.shape,
      picture,
      values,
    });
  }
  const named = maps.map(({ tap, views }) => ({ name: tap, views }));
  await replaceFile(join(folder, galleryFile), await encodePng(mapGallery(image, named, words)));
  return written;
}

/** All pictures of an image as one. */
export const galleryFile = "all-maps.png";

/** Names as files': what not every system allows is replaced, and those that are the same then, if but for case, are numbered. */
function fileNames(names: readonly string[], reserved: readonly string[] = []): string[] {
  const taken = new Set(reserved);
  return names.map((name) => {
    const allowed = name.replace(/[^\p{L}\p{N}._#-]+/gu, "_").replace(/^\.+/, "_");
    const stem = allowed.slice(0, 120) || "_";
    let own = stem;
    for (let count = 2; taken.has(own.toLowerCase()); count++) own = `${stem}-${count}`;
    taken.add(own.toLowerCase());
    return own;
  });
}
