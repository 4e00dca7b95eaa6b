#!/usr/bin/env node
import { nodeRuntime } from "../runtime/node.js";
import { provideRuntime } from "../runtime/provider.js";
import { runCommandLine } from "./program.js";

provideRuntime(nodeRuntime);

// A reader that has seen enough (`| head`) is no error.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit();
  });
}

// The exit code is set and the process ends by itself, so that pipes are written to the end.
process.exitCode = await runCommandLine(
  process.argv.slice(2),
  {
    result: (text) => process.stdout.write(`${text}\n`),
    log: (text) => process.stderr.write(`${text}\n`),
  },
  { debug: process.env.FOVEA_DEBUG === "1" },
);
