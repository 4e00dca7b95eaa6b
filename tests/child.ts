import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const loader = new URL("../scripts/typescript.mjs", import.meta.url).href;

/** How a process ended and what it said. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a TypeScript file of the checkout in a process of its own, with `fovea` standing for the sources; in the root of the checkout
 * unless a folder is given.
 */
export function runSource(file: string, args: readonly string[] = [], folder = root): Promise<Finished> {
  return runNode(["--import", loader, file, ...args], folder);
}

/** Runs Node.js, in the root of the checkout unless a folder is given. */
export function runNode(args: readonly string[], folder = root): Promise<Finished> {
  return runProgram(process.execPath, args, folder);
}

/** Runs a program in a folder, without standard input. */
export function runProgram(command: string, args: readonly string[], cwd: string): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
      shell: process.platform === "win32" && command === "npm",
    });
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        texts[name] += chunk;
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...texts }));
  });
}
