import type { Size } from "../graph/size.js";
import { activeTrace, type Trace } from "../graph/trace.js";

/** Sizes of named axes that modules met in each trace; a module holds none of it itself. */
const met = new WeakMap<Trace, Map<object, Readonly<Record<string, Size>>>>();

/** Keeps for the running trace what the names in a module's signature stood for when it was called first. */
export function meetSizes(module: object, sizes: Readonly<Record<string, Size>>): void {
  const trace = activeTrace();
  if (!trace) return;
  const modules = met.get(trace) ?? new Map<object, Readonly<Record<string, Size>>>();
  met.set(trace, modules);
  if (!modules.has(module)) modules.set(module, sizes);
}

/** What the names in a module's signature stood for in a trace; nothing where it was not called. */
export function sizesMet(trace: Trace, module: object): Readonly<Record<string, Size>> {
  return met.get(trace)?.get(module) ?? {};
}
