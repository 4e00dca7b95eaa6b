import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./setup.mjs";

const loader = pathToFileURL(join(root, "scripts", "typescript.mjs")).href;
const program = join(root, "src", "cli", "main.ts");

/**
 * Runs `fovea ARGS` from the sources and ends with its exit code, or by the signal that ended it.
 * @param {string[]} args
 * @param {{ cwd?: string }} [options]
 */
export function runCommand(args, { cwd = process.cwd() } = {}) {
  const child = spawn(process.execPath, ["--import", loader, program, ...args], { cwd, stdio: "inherit" });
  forwardSignals(child);
  child.on("error", (error) => {
    console.error(`fovea cannot be started: ${error.message}`);
    process.exit(1);
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code);
    for (const name of forwarded) process.removeAllListeners(name);
    process.kill(process.pid, signal);
  });
}

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Hands signals on, each once. */
function forwardSignals(child) {
  const onTerminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY);
  const sent = new Set();
  const forward = (signal) => {
    // Ctrl-C goes to all processes on the terminal, so the child has it already.
    if (signal === "SIGINT" && onTerminal) return;
    // npm sends a signal on to its children, who may have had it themselves: two within a moment are one.
    if (sent.has(signal)) return;
    sent.add(signal);
    setTimeout(() => sent.delete(signal), 500).unref();
    child.kill(signal);
  };
  for (const signal of forwarded) process.on(signal, () => forward(signal));
  // npm runs scripts through a shell that dies of SIGTERM without telling them: then the parent is another one.
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    forward("SIGTERM");
  }, 250);
  watch.unref();
}
