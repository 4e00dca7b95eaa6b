import { open } from "node:fs/promises";
import { DataError } from "../base/errors.js";

/**
 * Reads a file of bounded size.
 * @param remedy what to do where it cannot be read, for the error
 * @throws DataError naming the path where the file is missing, no file, or too large
 */
export async function readBounded(path: string, maxBytes: number, remedy?: string): Promise<Buffer> {
  const advice = remedy ? `; ${remedy}` : "";
  try {
    const handle = await open(path);
    try {
      const stats = await handle.stat();
      const { size } = stats;
      if (!stats.isFile()) throw new DataError(`${path} is no file${advice}`);
      if (size > maxBytes) throw new DataError(`${path}: ${size} bytes; at most ${maxBytes} are read`);
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    throw new DataError(`${path} cannot be read (${(cause as NodeJS.ErrnoException).code})${advice}`, {
      cause,
    });
  }
}
