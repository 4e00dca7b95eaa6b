import { OptionError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import type { Graph } from "./model.js";
import type { Tensor } from "./tensor.js";

/** Taps whose names fit one of the patterns, `*` for any characters. @throws OptionError for a pattern that fits none */
export function selectTaps(graph: Graph, patterns: readonly string[]): Map<string, Tensor> {
  const selected = new Map<string, Tensor>();
  for (const pattern of patterns) {
    const found = [...graph.taps].filter(([name]) => matchesPattern(name, pattern));
    if (found.length === 0) {
      throw new OptionError(
        `no tap fits "${pattern}"; the model has ${[...graph.taps.keys()].join(", ") || "none"}`,
      );
    }
    for (const [name, tensor] of found) selected.set(name, tensor);
  }
  return selected;
}
