import { arch, availableParallelism, cpus, platform, totalmem } from "node:os";
import { version } from "../base/version.js";
import { table } from "../report/table.js";
import { formatBytes } from "../report/units.js";
import { defaultRuntime } from "../runtime/provider.js";
import { type Command, writeJson } from "./command.js";

/** `fovea doctor`: what this machine can run. */
export const doctor: Command = {
  usage: "doctor",
  summary: "Show what this machine has: Node.js, processor, memory, ONNX Runtime, devices",
  examples: ["fovea doctor", "fovea doctor --json"],
  async run({ json, output }) {
    const runtime = await defaultRuntime().info();
    const [cpu] = cpus();
    const machine = {
      fovea: version,
      node: process.version,
      platform: `${platform()}-${arch()}`,
      cpu: cpu?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      memoryBytes: totalmem(),
    };
    const { version: runtimeVersion = null, providers, threads, devices } = runtime;
    if (json)
      writeJson(output, {
        ...machine,
        onnxruntime: { version: runtimeVersion, providers, threads },
        devices,
      });
    else {
      output.result(
        table(
          ["what", { header: "found", align: "left" }],
          [
            ["fovea", machine.fovea],
            ["Node.js", machine.node],
            ["platform", machine.platform],
            ["processor", machine.cpu],
            ["cores", machine.cores],
            ["memory", formatBytes(machine.memoryBytes)],
            ["ONNX Runtime", runtimeVersion ?? "not usable"],
            ["providers", providers.join(", ") || "none"],
            ["threads of a session", threads],
            ...devices.map((status) => [
              `device ${status.device}`,
              status.available ? "yes" : `no: ${status.reason}`,
            ]),
          ],
        ),
      );
    }
    return devices.some(({ available }) => available) ? 0 : 1;
  },
};
