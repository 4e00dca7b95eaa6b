import type { HostArray, HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import { quote } from "../base/quote.js";
import { graphDType, toHostTensor } from "../formats/file-tensor.js";
import type { WritableTensor } from "../formats/safetensors.js";
import { joinPath, type Model, modelParts, namedVariables } from "../graph/model.js";
import { formatShape, sameShape } from "../graph/size.js";
import type { Variable } from "../graph/variable.js";
import { Conv } from "../nn/conv.js";
import { Linear } from "../nn/linear.js";
import type { LoadReport } from "../nn/tensor-keys.js";
import {
  layoutFor,
  namedBy,
  namesOfKeys,
  plainSlots,
  type Slot,
  type TorchLayout,
} from "./checkpoint-layouts.js";

/** Whose names the tensors of a file have: ours, or PyTorch's (timm, torchvision, a mechanism's reference code). */
export type TensorNames = "fovea" | "torch";

/** Options of `loadCheckpoint`. */
export interface LoadCheckpointOptions {
  /** Whose names the tensors have; by default those that fit more of the network's. */
  readonly names?: TensorNames;
  /** Refuses missing, unused and mis-shaped tensors; true by default. Else what fits is loaded. */
  readonly strict?: boolean;
  /**
   * Keeps the network's own values where the file's classifier is missing or has other classes, as fine-tuning needs it. True means
   * the last linear or convolution layer, if it differs in the number of its outputs only; a pattern of our names (`fc.*`) any
   * difference of these.
   */
  readonly newHead?: boolean | string;
  /** Shown in errors, such as the file's name. */
  readonly source?: string;
}

/** What was loaded and what did not fit; names are ours, `unused` are the file's. */
export interface CheckpointReport extends LoadReport {
  /** Whose names the tensors had. */
  readonly names: TensorNames;
  /** References whose layout was recognised, by mechanism id, where it is not timm's or our own. */
  readonly references: ReadonlyMap<string, string>;
  /** Variables that got values. */
  readonly loaded: readonly string[];
  /** Variables that keep their own values as `newHead` says. */
  readonly kept: readonly string[];
}

/**
 * Loads tensors of a file into a network. Names are translated (`fromTorchNames`), as are tensors that a mechanism's reference lays out
 * otherwise (the projections of `torch.nn.MultiheadAttention`, for one); BatchNorm's counters are ignored; floating point of any width
 * becomes float32. Nothing is written into the network where it throws.
 * @param tensors of `readTensorFile`, or of the host
 * @throws FormatError that lists the missing, unused and mis-shaped tensors, unless `strict` is false
 */
export function loadCheckpoint(
  model: Model,
  tensors: ReadonlyMap<string, WritableTensor>,
  options: LoadCheckpointOptions = {},
): CheckpointReport {
  const { strict = true, newHead = false, source = "checkpoint" } = options;
  const variables = namedVariables(model);
  const keys = [...tensors.keys()];
  const { names, slots, slotNames, references } = readNames(model, variables, keys, options.names);
  const keyOf = new Map([...slotNames].map(([key, name]) => [name, key]));
  const head = headOf(model, variables, newHead);

  const found: { slot: Slot; key: string; tensor: WritableTensor }[] = [];
  const missing: string[] = [];
  const mismatched: string[] = [];
  const kept: string[] = [];
  for (const slot of slots) {
    const key = keyOf.get(slot.name);
    const tensor = key === undefined ? undefined : tensors.get(key);
    const parts = [...slot.parts.keys()];
    if (key === undefined || !tensor) {
      const absent = parts.filter((name) => !variables.get(name)!.optional);
      if (parts.length > 0 && parts.every(head.mayMiss)) kept.push(...parts);
      else missing.push(...absent);
    } else if (fits(slot, tensor)) found.push({ slot, key, tensor });
    else if (parts.length > 0 && parts.every((name) => head.mayDiffer(name, tensor.shape)))
      kept.push(...parts);
    else mismatched.push(difference(slot, key, tensor));
  }
  const expected = new Set(slots.map(({ name }) => name));
  const unused = [...slotNames].filter(([, name]) => !expected.has(name)).map(([key]) => key);
  if (strict) refuse(source, { missing, unused, mismatched }, names);

  const values = new Map<string, HostArray>();
  for (const { slot, key, tensor } of found) {
    for (const [name, value] of valuesOf(slot, key, tensor)) values.set(name, value);
  }
  for (const { slot, key, tensor } of found) checkRepetition(slot, key, tensor, tensors, keyOf, source);
  for (const [name, value] of values) variables.get(name)!.value = value;
  return { names, references, loaded: [...values.keys()], kept, missing, unused, mismatched };
}

/** What the keys of a file mean. */
interface Reading extends Pick<TorchLayout, "slots" | "references"> {
  readonly names: TensorNames;
  /** The slot's name by key; ignored keys are left out. */
  readonly slotNames: ReadonlyMap<string, string>;
}

function readNames(
  model: Model,
  variables: ReadonlyMap<string, Variable>,
  keys: readonly string[],
  asked: TensorNames | undefined,
): Reading {
  const ours: Reading = {
    names: "fovea",
    slots: plainSlots(variables),
    slotNames: new Map(keys.map((key) => [key, key])),
    references: new Map(),
  };
  if (asked === "fovea") return ours;
  const layout = layoutFor(model, variables, keys);
  const exact = keys.filter((key) => variables.has(key)).length;
  if (asked === undefined && exact > 0 && exact >= namedBy(keys, layout)) return ours;
  return { names: "torch", ...layout, slotNames: namesOfKeys(keys, layout) };
}

/** Which variables may keep their own values. */
interface Head {
  mayMiss(name: string): boolean;
  mayDiffer(name: string, shape: readonly number[]): boolean;
}

function headOf(model: Model, variables: ReadonlyMap<string, Variable>, newHead: boolean | string): Head {
  if (newHead === false) return { mayMiss: () => false, mayDiffer: () => false };
  if (typeof newHead === "string") {
    const matches = (name: string) => matchesPattern(name, newHead);
    return { mayMiss: matches, mayDiffer: matches };
  }
  const last = [...modelParts(model)].findLast(([part]) => part instanceof Linear || part instanceof Conv);
  const names = new Set(last && [...last[0].ownVariables()].map(([name]) => joinPath(last[1], name)));
  return {
    mayMiss: (name) => names.has(name),
    mayDiffer: (name, [, ...rest]) => names.has(name) && sameShape(rest, variables.get(name)!.shape.slice(1)),
  };
}

function fits({ shape, parts }: Slot, tensor: WritableTensor): boolean {
  return sameShape(tensor.shape, shape) && graphDType[tensor.dtype] === slotDType(parts);
}

/** Slots of several variables, and those that repeat one, are of float32. */
function slotDType(parts: Slot["parts"]): string {
  const [first] = parts.values();
  return first?.dtype ?? "float32";
}

function difference({ name, shape, parts }: Slot, key: string, tensor: WritableTensor): string {
  const shown = key === name ? name : `${key} (here ${name})`;
  const expected = `${slotDType(parts)} ${formatShape(shape)}`;
  return `${shown}: expected ${expected}, found ${tensor.dtype} ${formatShape(tensor.shape)}`;
}

function valuesOf(slot: Slot, key: string, tensor: WritableTensor): [name: string, value: HostArray][] {
  const names = [...slot.parts.keys()];
  if (names.length === 0) return [];
  const { data } = hostTensor(tensor, key);
  if (!slot.stored) return [[names[0]!, data]];
  const shapes = [...slot.parts.values()].map(({ shape }) => shape);
  const parts = slot.stored.split(data as Float32Array, shapes);
  return names.map((name, index) => [name, parts[index]!]);
}

/** A copy on the host, in the dtype of its kind. */
function hostTensor({ dtype, shape, data }: WritableTensor, key: string): HostTensor {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return toHostTensor({ dtype, shape, data: bytes }, key);
}

/** Tensors that are one here must be equal in the file. */
function checkRepetition(
  slot: Slot,
  key: string,
  tensor: WritableTensor,
  tensors: ReadonlyMap<string, WritableTensor>,
  keyOf: ReadonlyMap<string, string>,
  source: string,
): void {
  const originalKey = slot.sameAs === undefined ? undefined : keyOf.get(slot.sameAs);
  const original = originalKey === undefined ? undefined : tensors.get(originalKey);
  if (!original) return;
  const [a, b] = [hostTensor(tensor, key).data, hostTensor(original, originalKey!).data];
  if (a.length === b.length && a.every((value, index) => Object.is(value, b[index]))) return;
  throw new FormatError(
    `${source}: ${quote(key)} and ${quote(originalKey!)} differ; they are one tensor here (${slot.sameAs})`,
  );
}

const maxShown = 10;

function refuse(source: string, { missing, unused, mismatched }: LoadReport, names: TensorNames): void {
  const lists = [
    listed("missing", missing, ", "),
    listed("unused", unused, ", "),
    listed("mis-shaped", mismatched, "; "),
  ].filter((text) => text !== "");
  if (lists.length === 0) return;
  throw new FormatError(`${source} with ${names} names does not fit the model; ${lists.join("; ")}`);
}

function listed(problem: string, items: readonly string[], separator: string): string {
  if (items.length === 0) return "";
  const shown = items
    .slice(0, maxShown)
    .map((item) => (item.length > 200 ? `${item.slice(0, 200)}...` : item));
  const more = items.length > maxShown ? `${separator}and ${items.length - maxShown} more` : "";
  return `${problem} (${items.length}): ${shown.join(separator)}${more}`;
}
