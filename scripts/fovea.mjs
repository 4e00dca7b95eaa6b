// npm run -s fovea -- ARGS: set-up, then `fovea ARGS` in the folder where npm was called.
import { runCommand } from "./run-command.mjs";
import { setUp } from "./setup.mjs";

setUp();
const { npm_lifecycle_event: script, INIT_CWD: folder } = process.env;
runCommand(process.argv.slice(2), { cwd: script === "fovea" ? folder : undefined });
