import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const source = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);

/** How a process ended, and what it wrote. */
export interface ProcessResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly out: string;
  readonly err: string;
}

/** Runs a script, with the runtime and models imported, as a process of its own; resolves when it has ended by itself. */
export async function runScript(body: string): Promise<ProcessResult> {
  const folder = await mkdtemp(join(tmpdir(), "fovea-exit-"));
  try {
    const script = join(folder, "script.mjs");
    await writeFile(
      script,
      `import { nodeRuntime } from ${source("src/runtime/node.ts")};
       import { floats, incrementModel, momentumModel, scalar } from ${source("tests/runtime/models.ts")};
       ${body}`,
    );
    const loader = new URL("../../scripts/typescript.mjs", import.meta.url).href;
    const child = spawn(process.execPath, ["--import", loader, script], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => (out += chunk));
    child.stderr.on("data", (chunk) => (err += chunk));
    return await new Promise((resolve) =>
      child.on("close", (code, signal) => resolve({ code, signal, out, err })),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}
