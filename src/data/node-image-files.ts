import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { DataError } from "../base/errors.js";
import { imageExtensions } from "./image-type.js";

/** The images of one part of a data set. */
export interface ImageFiles {
  /** In the order of their class and path. */
  readonly paths: readonly string[];
  /** Class of each, an index of the classes. */
  readonly labels: Uint32Array;
}

/** What a folder of images holds. */
export interface ImageFileTree {
  /** Names of the classes' folders, sorted. */
  readonly classes: readonly string[];
  readonly train: ImageFiles;
  readonly validation?: ImageFiles;
  readonly test?: ImageFiles;
  /** Number of files that are no images by their extension. */
  readonly otherFiles: number;
}

/** Folders of the parts, by their customary names. */
const partFolders = { train: ["train"], validation: ["val", "valid", "validation"], test: ["test"] } as const;

/**
 * Finds the images of a folder: ROOT/CLASS/... or ROOT/train/CLASS/..., ROOT/val/CLASS/..., ROOT/test/CLASS/... Classes are the folders
 * of the training images; symbolic links and hidden files are left out.
 * @throws DataError naming the folder that is missing, empty, or of a class that training does not have
 */
export async function findImages(root: string): Promise<ImageFileTree> {
  const folders = await foldersOf(root);
  const divided = folders.includes("train") && (await foldersOf(join(root, "train"))).length > 0;
  const counter = { otherFiles: 0 };
  const trainRoot = divided ? join(root, "train") : root;
  if (!divided) refusePartNames(root, folders);
  const classes = divided ? await foldersOf(trainRoot) : folders;
  if (classes.length === 0) {
    throw new DataError(`${trainRoot}: expected a folder for each class, found none`);
  }
  const train = await imagesOf(trainRoot, classes, counter);
  classes.forEach((name, label) => {
    if (train.labels.includes(label)) return;
    throw new DataError(
      `${join(trainRoot, name)}: expected images (${imageExtensions.join(", ")}), found none`,
    );
  });
  const parts: { validation?: ImageFiles; test?: ImageFiles } = {};
  for (const part of ["validation", "test"] as const) {
    const found = partFolders[part].filter((name) => divided && folders.includes(name));
    if (found.length > 1) {
      throw new DataError(`${root}: ${found.join(" and ")} both stand for the ${part} images; keep one`);
    }
    if (found[0] === undefined) continue;
    const partRoot = join(root, found[0]);
    const unknown = (await foldersOf(partRoot)).filter((name) => !classes.includes(name));
    if (unknown.length > 0) {
      throw new DataError(
        `${partRoot}: no training images of ${unknown.join(", ")}; the classes are the folders of ${trainRoot}`,
      );
    }
    parts[part] = await imagesOf(partRoot, classes, counter);
    if (parts[part].paths.length > 0) continue;
    const beside = (await entriesOf(partRoot)).filter((entry) => entry.isFile() && isImagePath(entry.name));
    throw new DataError(
      `${partRoot}: expected images in the classes' folders ${classes.join(", ")}; found none${beside.length > 0 ? `, but ${beside.length} beside them` : ""}`,
    );
  }
  return { classes, train, ...parts, otherFiles: counter.otherFiles };
}

/**
 * Parts whose images are in no classes' folders look like classes. A class may have the name train beside others: it is also a vehicle.
 * @throws DataError
 */
function refusePartNames(root: string, classes: readonly string[]): void {
  const names: readonly string[] = Object.values(partFolders).flat();
  const parts = classes.filter((name) => names.includes(name));
  if (parts.length === 0 || (classes.length > 1 && parts.join() === "train")) return;
  throw new DataError(
    `${root}: ${parts.join(" and ")} would be classes, but are names of parts; expected the classes' folders in ${join(root, "train")}`,
  );
}

async function imagesOf(
  root: string,
  classes: readonly string[],
  counter: { otherFiles: number },
): Promise<ImageFiles> {
  const present = await foldersOf(root);
  const paths: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of classes.entries()) {
    if (!present.includes(name)) continue;
    for (const path of await filesBelow(join(root, name))) {
      if (isImagePath(path)) {
        paths.push(path);
        labels.push(label);
      } else counter.otherFiles++;
    }
  }
  return { paths, labels: Uint32Array.from(labels) };
}

function isImagePath(path: string): boolean {
  return (imageExtensions as readonly string[]).includes(extname(path).toLowerCase());
}

/** Files below a folder, at any depth, sorted by path. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await entriesOf(folder);
  const nested = await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesBelow(path);
      return entry.isFile() ? [path] : [];
    }),
  );
  return nested.flat();
}

async function foldersOf(folder: string): Promise<string[]> {
  return (await entriesOf(folder)).filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

/** What is in a folder, hidden entries left out, by name: the order does not depend on the file system or the language. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries
      .filter(({ name }) => !name.startsWith("."))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  } catch (cause) {
    throw new DataError(
      `${folder} cannot be read (${(cause as NodeJS.ErrnoException).code}); expected a folder`,
      {
        cause,
      },
    );
  }
}
