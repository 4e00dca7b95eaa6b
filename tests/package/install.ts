import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";
import manifest from "../../package.json" with { type: "json" };

declare module "vitest" {
  interface ProvidedContext {
    /** A folder outside of the checkout in which the packed package is installed, with the sources of tests/package/consumer. */
    consumer: string;
    /** Paths of the files in the tarball. */
    packedFiles: readonly { readonly path: string; readonly size: number }[];
  }
}

const run = promisify(execFile);
const root = new URL("../..", import.meta.url).pathname;

/** Builds and packs the package and installs the tarball in an empty folder. */
export default async function install(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "fovea-package-"));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const packed = await npm(["pack", "--json", "--silent", "--pack-destination", folder], root);
    // What the build prints stands before npm's answer.
    const [tarball] = JSON.parse(packed.slice(packed.indexOf("\n[\n") + 1)) as [
      { filename: string; files: { path: string; size: number }[] },
    ];
    const consumer = join(folder, "consumer");
    await mkdir(consumer);
    await cp(new URL("./consumer", import.meta.url), consumer, { recursive: true });
    const consumerManifest = { name: "consumer", private: true, type: "module" };
    await writeFile(join(consumer, "package.json"), JSON.stringify(consumerManifest));
    const options = ["--prefer-offline", "--no-audit", "--no-fund"];
    const packages = [
      join(folder, tarball.filename),
      `onnxruntime-web@${manifest.peerDependencies["onnxruntime-web"]}`,
    ];
    await npm(["install", ...options, ...packages], consumer);
    project.provide("consumer", consumer);
    project.provide("packedFiles", tarball.files);
  } catch (error) {
    await remove();
    throw error;
  }
  return remove;
}

async function npm(args: readonly string[], cwd: string): Promise<string> {
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip" };
  const { stdout } = await run("npm", args, {
    cwd,
    env,
    maxBuffer: 2 ** 26,
    shell: process.platform === "win32",
  });
  return stdout;
}
