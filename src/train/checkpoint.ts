import type { HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { toHostTensor } from "../formats/file-tensor.js";
import { type JsonObject, type JsonValue, readJson } from "../formats/json.js";
import { readSafetensors, writeSafetensors } from "../formats/safetensors.js";
import { type Model, namedVariables } from "../graph/model.js";
import { compareTensorKeys, requireFit } from "../nn/tensor-keys.js";
import type { WatchState } from "./improvement.js";
import type { AverageTotals } from "./running-averages.js";
import { stateNames, variableState } from "./training-step.js";

/** Where a run stands. Together with the state it is all that a run needs to go on. */
export interface Progress {
  /** Steps completed. */
  readonly step: number;
  /** Epochs completed. */
  readonly epoch: number;
  /** Samples drawn from the data order. */
  readonly position: number;
  readonly seed: number;
  /** Batches per update of the weights. */
  readonly accumulate: number;
  /** What the model is, in its owner's words; empty where nothing was said. */
  readonly description: string;
  /** The metric by which the best weights are chosen. */
  readonly best: WatchState;
  readonly earlyStopping: WatchState;
  /** Sums of the epoch under way. */
  readonly averages: AverageTotals;
  /** Values of the last evaluation; none before the first. */
  readonly evaluation: Readonly<Record<string, number>>;
}

/** A state and where it belongs in the run. */
export interface Checkpoint {
  readonly state: ReadonlyMap<string, HostTensor>;
  readonly progress: Progress;
}

const format = "fovea checkpoint 1";

/** A checkpoint as a safetensors file: `param.*`, `buffer.*`, `ema.*`, and for going on `optimizer.SLOT.*` and `accumulator.*`. */
export function writeCheckpoint({ state, progress }: Checkpoint): Uint8Array<ArrayBuffer> {
  return writeSafetensors(state, { format, progress: JSON.stringify(progress, keepingNonFinite) });
}

/** Reads what `writeCheckpoint` wrote. @throws FormatError */
export function readCheckpoint(bytes: Uint8Array, options: { readonly source?: string } = {}): Checkpoint {
  const { source = "checkpoint" } = options;
  const { metadata, tensors } = readSafetensors(bytes, { source });
  if (metadata.format !== format) {
    throw new FormatError(
      `${source}: its metadata name the format ${JSON.stringify(metadata.format ?? "")}; expected ${JSON.stringify(format)}`,
    );
  }
  const state = new Map(
    [...tensors].map(([name, tensor]) => [name, toHostTensor(tensor, `${source}: ${name}`)]),
  );
  return { state, progress: readProgress(metadata.progress ?? "", `${source}: progress`) };
}

/** True for the metadata of a checkpoint of a run. */
export function isCheckpoint(metadata: { get(name: string): unknown }): boolean {
  return metadata.get("format") === format;
}

/** The weights of a run's state under the names of the model: its moving average where it keeps one, and its buffers. */
export function modelTensors<T>(state: ReadonlyMap<string, T>): Map<string, T> {
  const found = new Map<string, T>();
  for (const prefix of ["param.", "buffer.", "ema."]) {
    for (const [name, tensor] of state) {
      if (name.startsWith(prefix)) found.set(name.slice(prefix.length), tensor);
    }
  }
  return found;
}

/** The tensors of a state that evaluation needs: parameters, buffers and moving average. */
export function weightsOf(state: ReadonlyMap<string, HostTensor>): Map<string, HostTensor> {
  return new Map([...state].filter(([name]) => /^(param|buffer|ema)\./.test(name)));
}

/**
 * Gives a model the weights of a checkpoint.
 * @param options.ema takes the moving average of the parameters where the checkpoint has one; true by default
 * @throws FormatError that names missing, unused and mis-shaped keys; nothing is changed then
 */
export function loadWeights(
  model: Model,
  state: ReadonlyMap<string, HostTensor>,
  options: { readonly ema?: boolean; readonly source?: string } = {},
): void {
  const { ema = true, source = "checkpoint" } = options;
  const variables = namedVariables(model);
  const weights = weightsOf(state);
  const expected = new Map(
    [...variables].map(([path, variable]) => [variableState(path, variable), variable]),
  );
  const averaged = [...variables].filter(
    ([path, { trainable }]) => trainable && weights.has(stateNames.average(path)),
  );
  const places = new Map([
    ...expected,
    ...averaged.map(([path, variable]) => [stateNames.average(path), variable] as const),
  ]);
  requireFit(source, compareTensorKeys(weights, places));
  for (const [path, variable] of variables) {
    const average = ema ? weights.get(stateNames.average(path)) : undefined;
    variable.value = (average ?? weights.get(variableState(path, variable))!).data.slice();
  }
}

/** JSON has no infinities and no NaN. */
function keepingNonFinite(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

function readProgress(text: string, where: string): Progress {
  const json = readJson(text, {
    maxDepth: 4,
    fault: (position, problem) => new FormatError(`${where}, at character ${position}: ${problem}`),
  });
  const fields = new Fields(json, where);
  const averages = fields.object("averages");
  return {
    step: fields.count("step"),
    epoch: fields.count("epoch"),
    position: fields.count("position"),
    seed: fields.count("seed"),
    accumulate: fields.count("accumulate"),
    description: fields.text("description"),
    best: watchState(fields.object("best")),
    earlyStopping: watchState(fields.object("earlyStopping")),
    averages: { weight: averages.count("weight"), sums: averages.object("sums").numbers() },
    evaluation: fields.object("evaluation").numbers(),
  };
}

function watchState(fields: Fields): WatchState {
  const { best } = fields.has("best") ? { best: fields.number("best") } : {};
  return { ...(best === undefined ? {} : { best }), waited: fields.count("waited") };
}

/** The fields of a JSON object, each of the type it should have. */
class Fields {
  readonly #object: JsonObject;
  readonly #where: string;

  constructor(value: JsonValue | undefined, where: string) {
    if (!(value instanceof Map)) throw new FormatError(`${where} is not an object`);
    this.#object = value;
    this.#where = where;
  }

  has(name: string): boolean {
    return this.#object.has(name);
  }

  object(name: string): Fields {
    return new Fields(this.#object.get(name), `${this.#where}.${name}`);
  }

  text(name: string): string {
    const value = this.#object.get(name);
    if (typeof value !== "string") throw this.#refuse(name, "a text");
    return value;
  }

  number(name: string): number {
    const value = this.#object.get(name);
    const spelled = value === "NaN" || value === "Infinity" || value === "-Infinity";
    if (typeof value !== "number" && !spelled) throw this.#refuse(name, "a number");
    return Number(value);
  }

  count(name: string): number {
    const value = this.number(name);
    if (!(Number.isSafeInteger(value) && value >= 0)) throw this.#refuse(name, "an integer of at least 0");
    return value;
  }

  numbers(): Record<string, number> {
    return Object.fromEntries([...this.#object.keys()].map((name) => [name, this.number(name)]));
  }

  #refuse(name: string, expected: string): FormatError {
    const found = this.has(name) ? JSON.stringify(this.#object.get(name)) : "missing";
    return new FormatError(`${this.#where}.${name} is ${found}; expected ${expected}`);
  }
}
