// Everything that is tested on WebGPU: npm run test:webgpu. The tests of every run take a part of it, as a software GPU is slow.
import { mergeConfig } from "vitest/config";
import config from "./vitest.config.js";

export default mergeConfig(config, { test: { env: { FOVEA_WEBGPU: "all" } } });
