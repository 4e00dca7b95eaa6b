import type { CheckpointLayout, StoredTensor } from "../attention/checkpoint-layout.js";
import { type CheckpointNames, fromTorchNames, readTorchNames } from "../formats/torch-names.js";
import { joinPath, type Model, modelParts } from "../graph/model.js";
import type { Variable } from "../graph/variable.js";

/** Layouts by the repository of the reference code, as a mechanism declares them. */
type Layouts = Readonly<Record<string, CheckpointLayout>>;

/** Modules of a network that are one kind of mechanism, whose reference code has layouts of its own. */
interface Declaration {
  readonly id: string;
  readonly layouts: Layouts;
  readonly paths: readonly string[];
}

/** A tensor of a state dict, under the name that it has before its key is made: ours, or a reference's under our path. */
export interface Slot {
  readonly name: string;
  readonly shape: readonly number[];
  /** The variables that it holds, by our names; none where it repeats another slot. */
  readonly parts: ReadonlyMap<string, Variable>;
  /** How the parts lie in it, where it is not one of them as it is. */
  readonly stored?: StoredTensor;
  /** The slot whose values it repeats. */
  readonly sameAs?: string;
}

/** What the state dict of a network looks like in PyTorch. */
export interface TorchLayout {
  readonly slots: readonly Slot[];
  /** Names of reference code by module path, for `fromTorchNames` and `toTorchNames`. */
  readonly modules: Readonly<Record<string, CheckpointNames>>;
  /** The reference whose layout was taken, by mechanism id; those with our names in snake_case are left out. */
  readonly references: ReadonlyMap<string, string>;
}

/** A slot per variable, as it is. */
export function plainSlots(variables: ReadonlyMap<string, Variable>): Slot[] {
  return [...variables].map(([name, variable]) => ({
    name,
    shape: variable.shape,
    parts: new Map([[name, variable]]),
  }));
}

/** The layout of a network's state dict where mechanisms are laid out as in a reference, as far as they know it. */
export function layoutOf(
  model: Model,
  variables: ReadonlyMap<string, Variable>,
  references: Iterable<string>,
): TorchLayout {
  const wanted = [...references];
  const chosen = new Map<string, string>();
  const declarations = declarationsOf(model);
  for (const { id, layouts } of declarations) {
    const reference = wanted.find((name) => Object.hasOwn(layouts, name));
    if (reference !== undefined) chosen.set(id, reference);
  }
  return layoutWith(declarations, variables, chosen);
}

/**
 * The layout of a network's state dict that fits given keys best: for each kind of mechanism that of the reference by which the
 * keys name most variables, our own names where none names more.
 */
export function layoutFor(
  model: Model,
  variables: ReadonlyMap<string, Variable>,
  keys: readonly string[],
): TorchLayout {
  const declarations = declarationsOf(model);
  const chosen = new Map<string, string>();
  let best = layoutWith(declarations, variables, chosen);
  let most = namedBy(keys, best);
  for (const { id, layouts } of declarations) {
    for (const reference of Object.keys(layouts)) {
      const candidate = layoutWith(declarations, variables, new Map([...chosen, [id, reference]]));
      const count = namedBy(keys, candidate);
      if (count > most) [best, most] = [candidate, count];
    }
    const taken = best.references.get(id);
    if (taken !== undefined) chosen.set(id, taken);
  }
  return best;
}

/** The slots' names of the keys. @throws FormatError where two keys get one name */
export function namesOfKeys(keys: readonly string[], { modules }: TorchLayout): ReadonlyMap<string, string> {
  return fromTorchNames(keys, { modules }).names;
}

/** How many variables the keys name. */
export function namedBy(keys: readonly string[], { slots, modules }: TorchLayout): number {
  const names = new Set(readTorchNames(keys, { modules }).names.values());
  return slots.reduce((count, { name, parts }) => count + (names.has(name) ? parts.size : 0), 0);
}

/** Outer modules first, as their layout says where the inner ones are. */
function declarationsOf(model: Model): Declaration[] {
  const found = new Map<string, { id: string; layouts: Layouts; paths: string[] }>();
  for (const [part, path] of modelParts(model)) {
    const about = (part.constructor as { about?: { id?: string; checkpoints?: Layouts } }).about;
    if (!about?.checkpoints) continue;
    const id = about.id ?? part.constructor.name;
    const known = found.get(id);
    if (known) known.paths.push(path);
    else found.set(id, { id, layouts: about.checkpoints, paths: [path] });
  }
  return [...found.values()];
}

function layoutWith(
  declarations: readonly Declaration[],
  variables: ReadonlyMap<string, Variable>,
  references: ReadonlyMap<string, string>,
): TorchLayout {
  const modules: Record<string, CheckpointNames> = {};
  const extra: Slot[] = [];
  const consumed = new Set<string>();
  for (const { id, layouts, paths } of declarations) {
    const layout = layouts[references.get(id) ?? ""];
    if (!layout) continue;
    for (const path of paths) {
      const names: Record<string, string> = {};
      for (const [theirs, entry] of Object.entries(layout)) {
        if (typeof entry === "string") names[theirs] = entry;
        else if ("sameAs" in entry) {
          names[theirs] = theirs;
          extra.push(...repeated(joinPath(path, theirs), joinPath(path, entry.sameAs), variables));
        } else {
          const slot = storedSlot(joinPath(path, theirs), path, entry, variables);
          if (!slot) continue;
          names[theirs] = theirs;
          extra.push(slot);
          for (const part of slot.parts.keys()) consumed.add(part);
        }
      }
      modules[path] = names;
    }
  }
  const plain = plainSlots(variables).filter(({ name }) => !consumed.has(name));
  return { slots: [...plain, ...extra], modules, references };
}

/** Slots that repeat the variables at a path. */
function repeated(name: string, path: string, variables: ReadonlyMap<string, Variable>): Slot[] {
  return [...variables]
    .filter(([variable]) => variable === path || variable.startsWith(`${path}.`))
    .map(([variable, { shape }]) => ({
      name: name + variable.slice(path.length),
      shape,
      parts: new Map(),
      sameAs: variable,
    }));
}

/** The slot of a stored tensor; undefined where the module lacks its parts or the reference keeps them otherwise. */
function storedSlot(
  name: string,
  path: string,
  stored: StoredTensor,
  variables: ReadonlyMap<string, Variable>,
): Slot | undefined {
  const parts = new Map<string, Variable>();
  for (const part of stored.parts) {
    const variable = variables.get(joinPath(path, part));
    if (!variable) return undefined;
    parts.set(joinPath(path, part), variable);
  }
  const shape = stored.shape([...parts.values()].map((variable) => variable.shape));
  return shape && { name, shape, parts, stored };
}
