import type { HostTensor } from "../base/dtype.js";
import { isModel, modelParts, namedVariables, type Traceable, trace } from "../graph/model.js";
import type { Variable } from "../graph/variable.js";
import { type CompileOptions, compile, type Executable, type RunResult } from "./executable.js";
import { defaultRuntime } from "./provider.js";
import type { Runtime } from "./types.js";

/** Options of `run`. */
export interface RunOptions extends CompileOptions {
  /** Batch statistics and dropout; false by default. Updated buffers are returned, not written back. */
  readonly training?: boolean;
  /** Method of the model; `forward` by default. */
  readonly call?: string;
}

interface CacheEntry {
  readonly executable: Promise<Executable>;
  readonly runtime: Runtime;
  /** Variables that a function reads; a model's are asked for anew, as its parts can be replaced. */
  readonly variables: Iterable<Variable>;
  /** What was compiled: a model's parts, and the arrays that the variables held; a loaded or trained variable holds another one. */
  readonly values: readonly unknown[];
}

/** Compiled executables of each model or function, by what was compiled; the latest used last. */
const cache = new WeakMap<Traceable, Map<string, CacheEntry>>();

/** Executables kept per model; the one that was not used for longest is closed first. */
const keptPerModel = 8;

/**
 * Runs a model or a function of tensors: traces, compiles and caches it by input shape, so that further calls only run. Weights that
 * were loaded or trained since are noticed.
 * @param inputs one tensor, or several by name
 * @throws ShapeError, OptionError or DeviceError with what was expected and found
 */
export async function run(
  target: Traceable,
  inputs: HostTensor | Readonly<Record<string, HostTensor>>,
  options: RunOptions = {},
): Promise<RunResult> {
  const named = isHostTensor(inputs) ? { x: inputs } : inputs;
  const { runtime = defaultRuntime(), ...keyed } = options;
  const types = Object.fromEntries(
    Object.entries(named).map(([name, { shape, dtype }]) => [name, { shape, dtype }]),
  );
  const entries = cache.get(target) ?? new Map<string, CacheEntry>();
  cache.set(target, entries);
  const key = JSON.stringify([isHostTensor(inputs), types, keyed]);
  const found = entries.get(key);
  entries.delete(key);
  // Nothing is awaited before the new entry is in place: another call may come in between.
  const closing: Promise<void>[] = [];
  if (found?.runtime === runtime && sameItems(found.values, valuesOf(target, found.variables))) {
    entries.set(key, found);
  } else {
    if (found) closing.push(close(found));
    const graph = trace(target, isHostTensor(inputs) ? types.x! : types, {
      training: options.training ?? false,
      call: options.call ?? "forward",
    });
    const executable = compile(graph, { ...options, runtime });
    const variables = [...graph.variables.values()];
    const entry = { executable, runtime, variables, values: valuesOf(target, variables) };
    entries.set(key, entry);
    executable.catch(() => entries.get(key) === entry && entries.delete(key));
    const [oldest] = entries;
    if (oldest && entries.size > keptPerModel) {
      entries.delete(oldest[0]);
      closing.push(close(oldest[1]));
    }
  }
  const executable = await entries.get(key)!.executable;
  const [result] = await Promise.all([executable.run(named), ...closing]);
  return result;
}

/** Releases what `run` keeps for a model or function. */
export async function release(target: Traceable): Promise<void> {
  const entries = [...(cache.get(target)?.values() ?? [])];
  cache.delete(target);
  await Promise.all(entries.map(close));
}

/** Closes it after the runs that wait for it; one that could not be compiled needs none. */
async function close(entry: CacheEntry): Promise<void> {
  const executable = await entry.executable.catch(() => undefined);
  await executable?.close();
}

function isHostTensor(inputs: HostTensor | Readonly<Record<string, HostTensor>>): inputs is HostTensor {
  return ArrayBuffer.isView(inputs.data);
}

/** The present parts of a model, and the present arrays of the variables, which `compile` gives values first. */
function valuesOf(target: Traceable, variables: Iterable<Variable>): readonly unknown[] {
  const [parts, present] = isModel(target)
    ? [modelParts(target).keys(), namedVariables(target).values()]
    : [[], variables];
  const values = [...present].map((variable) => (variable.initialized ? variable.value : undefined));
  return [...parts, ...values];
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}
