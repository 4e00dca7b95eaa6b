import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** A package that is installed for the benchmark alone. */
export interface PeerModule<T> {
  readonly exports: T;
  readonly version: string;
  /** Its folder. */
  readonly folder: string;
}

/**
 * Loads a package from where a folder's node_modules has it.
 * @throws Error that says how to install it
 */
export async function loadPeer<T>(name: string, folder: string): Promise<PeerModule<T>> {
  const require = createRequire(join(folder, "package.json"));
  let entry: string;
  try {
    entry = require.resolve(name);
  } catch (cause) {
    throw new Error(
      `${name} is not installed in ${folder}: 'npm install --no-save --prefix FOLDER ${name}', then --peer-modules FOLDER`,
      { cause },
    );
  }
  const packageFolder = await folderOf(entry, name);
  const { version } = JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8")) as {
    version: string;
  };
  return { exports: (await import(pathToFileURL(entry).href)) as T, version, folder: packageFolder };
}

/** The folder of the package that a file belongs to. */
async function folderOf(file: string, name: string): Promise<string> {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const text = await readFile(join(folder, "package.json"), "utf8").catch(() => "{}");
    if ((JSON.parse(text) as { name?: string }).name === name) return folder;
  }
  throw new Error(`${file} belongs to no package ${name}`);
}
