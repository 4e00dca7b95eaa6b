// A worker of the page's own; the worker of the sessions is started from here.
import * as fovea from "./fovea/web.js";
import { trainBlock } from "./train-block.js";

self.onmessage = async ({ data: session }) => self.postMessage(await trainBlock(fovea, session));
