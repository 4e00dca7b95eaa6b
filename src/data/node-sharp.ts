import { DataError } from "../base/errors.js";

/** The image library, or what a test puts in its place. */
export type Sharp = typeof import("sharp").default;

let loaded: Promise<Sharp> | undefined;

/** The image library sharp, loaded when the first image is read. @throws DataError with the remedy where it is missing */
export function loadSharp(): Promise<Sharp> {
  loaded ??= importSharp(async () => (await import("sharp")).default);
  return loaded;
}

/** Imports sharp. @throws DataError with the remedy where that fails */
export async function importSharp(load: () => Promise<Sharp>): Promise<Sharp> {
  try {
    return await load();
  } catch (cause) {
    throw new DataError(
      `image files are read by the package sharp, which cannot be loaded (${(cause as Error).message.split("\n")[0]}); install it with: npm install sharp`,
      { cause },
    );
  }
}
