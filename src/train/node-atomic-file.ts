import * as promises from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DataError } from "../base/errors.js";

/** The file system as it is used here; a test may put a failing one in its place. */
export type FileSystem = Pick<
  typeof promises,
  "appendFile" | "mkdir" | "open" | "readFile" | "readdir" | "rename" | "rm" | "stat"
>;

export const nodeFileSystem: FileSystem = promises;

const temporaryPattern = /^\..+\.writing$/;

/** Name under which a file is written before it takes its place. */
function temporaryFor(path: string): string {
  return join(dirname(path), `.${basename(path)}.writing`);
}

/**
 * Replaces a file: written beside it, synchronized, and renamed, so that whatever happens the old or the new file is there, whole.
 * @throws DataError where it cannot be written; the old file stays
 */
export async function replaceFile(
  path: string,
  content: Uint8Array | string,
  files: FileSystem = nodeFileSystem,
): Promise<void> {
  const temporary = temporaryFor(path);
  try {
    const handle = await files.open(temporary, "w");
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await files.rename(temporary, path);
    await syncFolder(dirname(path), files);
  } catch (error) {
    // Where not even this works, what is left is removed when the folder is opened.
    await files.rm(temporary, { force: true }).catch(() => {});
    throw fileError(`cannot write ${path}; what was there stays`, error);
  }
}

/** Makes a rename last beyond a loss of power. Windows has no such call on folders. */
async function syncFolder(folder: string, files: FileSystem): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await files.open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what writes that were cut off have left in a folder. */
export async function removeTemporaries(folder: string, files: FileSystem = nodeFileSystem): Promise<void> {
  const names = (await files.readdir(folder)).filter((name) => temporaryPattern.test(name));
  await Promise.all(names.map((name) => files.rm(join(folder, name), { force: true })));
}

/** A file's content, or undefined where it does not exist. @throws DataError where it is too large or cannot be read */
export async function readWholeFile(
  path: string,
  limit: number,
  files: FileSystem = nodeFileSystem,
): Promise<Uint8Array | undefined> {
  try {
    const { size } = await files.stat(path);
    if (size > limit) throw new DataError(`${path} has ${size} bytes; at most ${limit} are read`);
    return await files.readFile(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw fileError(`cannot read ${path}`, error);
  }
}

/** A failure of the file system as DataError. */
export function fileError(what: string, error: unknown): DataError {
  if (error instanceof DataError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const remedies: Readonly<Record<string, string>> = {
    ENOSPC: "the disk is full",
    EDQUOT: "the disk quota is used up",
    EACCES: "it is not allowed",
    EPERM: "it is not allowed",
    EROFS: "the file system is read-only",
    ENOTDIR: "a part of the path is a file",
  };
  const known = remedies[codeOf(error) ?? ""];
  return new DataError(`${what}: ${known ? `${known} (${reason})` : reason}`, { cause: error });
}

/** The code of a failure of the file system, such as ENOENT. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
