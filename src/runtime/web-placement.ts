import { DeviceError } from "../base/errors.js";
import type { DeviceName } from "./devices.js";
import type { PlacementRecorder } from "./platform.js";
import { placementOf } from "./profile-placement.js";

/** A line of ONNX Runtime's log: time, level and message. */
const logLine = /^\S+ \S+ \[([VIWEF]):onnxruntime:.*? (\S+)\] (.*)$/s;

let recording: string[] | undefined;

/**
 * Takes the log of ONNX Runtime out of the console, but for its errors: what is below is written for recorded placements alone.
 * Before ONNX Runtime is loaded, which keeps the console's methods.
 */
export function interceptLog(): void {
  for (const method of ["error", "warn", "log", "info"] as const) {
    const write = console[method].bind(console);
    console[method] = (...data: unknown[]) => {
      const [, level, source, message] = logLine.exec(String(data[0])) ?? [];
      if (level === undefined || level === "E" || level === "F") write(...data);
      else if (source === "VerifyEachNodeIsAssignedToAnEp") recording?.push(message!);
    };
  }
}

/** In a browser ONNX Runtime writes no profile, but it logs where it places nodes while it creates a session. */
export function recordPlacement(device: DeviceName): PlacementRecorder {
  const lines: string[] = [];
  recording = lines;
  return {
    options: { logSeverityLevel: 0, logVerbosityLevel: 0 },
    runOptions: { logSeverityLevel: 4 },
    result: async () => placementOf(placedNodes(lines), device),
  };
}

/** The nodes of the log's lines: a provider with a number of nodes, then an operator and a name a line where there are several providers. */
export function placedNodes(lines: readonly string[]): { operator: string; provider: string }[] {
  const nodes: { operator: string; provider: string }[] = [];
  let provider: string | undefined;
  for (const line of lines) {
    const all = /^\s*All nodes placed on \[(\w+)\]\. Number of nodes: (\d+)/.exec(line);
    if (all) return Array.from({ length: Number(all[2]) }, () => ({ operator: "", provider: all[1]! }));
    const some = /^\s*Node\(s\) placed on \[(\w+)\]/.exec(line);
    const node = /^\s+(\w+) \(/.exec(line);
    if (some) provider = some[1];
    else if (node && provider !== undefined) nodes.push({ operator: node[1]!, provider });
  }
  if (nodes.length === 0) throw new DeviceError("ONNX Runtime did not log where it placed the nodes");
  return nodes;
}
