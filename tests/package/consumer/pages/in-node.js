// Prints what the pages are compared with.
import * as fovea from "fovea";
import { trainBlock } from "./train-block.js";

console.log(JSON.stringify(await trainBlock(fovea, { device: "cpu" })));
