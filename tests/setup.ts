import { nodeRuntime } from "../src/runtime/node.js";
import { provideRuntime } from "../src/runtime/provider.js";

provideRuntime(nodeRuntime);
