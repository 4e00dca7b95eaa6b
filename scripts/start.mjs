// npm start -- ARGS: set-up, then `fovea train ARGS`.
import { runCommand } from "./run-command.mjs";
import { setUp } from "./setup.mjs";

setUp();
runCommand(["train", ...process.argv.slice(2)]);
