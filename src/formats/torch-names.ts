import { FormatError } from "../base/errors.js";
import { quote } from "../base/quote.js";

/** Names of reference code to ours, both without what they have in common: `{ "mlp.1": "fc1", "gate": "spatial.conv" }`. */
export type CheckpointNames = Readonly<Record<string, string>>;

export interface TorchNameOptions {
  /** Modules whose reference names are not ours in snake_case, by our path; the empty path is the network itself. */
  readonly modules?: Readonly<Record<string, CheckpointNames>>;
}

/** How keys of a PyTorch state dict are named here. */
export interface NamesFromTorch {
  /** Our name by the key. */
  readonly names: ReadonlyMap<string, string>;
  /** Keys without counterpart here: BatchNorm's `num_batches_tracked`, which is never read where momentum is a number. */
  readonly dropped: readonly string[];
}

/** How our tensors are named in a PyTorch state dict. */
export interface NamesToTorch {
  /** The key by our name. */
  readonly names: ReadonlyMap<string, string>;
  /** Keys to be added for strict loading in PyTorch: an int64 scalar beside each running mean, 0 if nothing is known. */
  readonly counters: readonly string[];
}

/** What wrappers (DataParallel, torch.compile) put before every key. */
const wrapperPrefixes = ["module.", "_orig_mod."];
const counterName = "num_batches_tracked";

/**
 * Names the keys of a timm, torchvision or official state dict as here: each part of a path goes from snake_case to
 * camelCase (`bn1.running_mean` to `bn1.runningMean`); names of a module's reference code are replaced as `modules`
 * says, the longest that fits first. A wrapper's prefix that all keys have is dropped.
 * @throws FormatError where two keys get one name
 */
export function fromTorchNames(keys: Iterable<string>, options: TorchNameOptions = {}): NamesFromTorch {
  const { names, dropped } = readTorchNames(keys, options);
  const takenBy = new Map<string, string>();
  for (const [key, name] of names) {
    const other = takenBy.get(name);
    if (other !== undefined) {
      throw new FormatError(`state dict: ${quote(other)} and ${quote(key)} are both ${quote(name)} here`);
    }
    takenBy.set(name, key);
  }
  return { names, dropped };
}

/** As `fromTorchNames`, where several keys may get one name: to see whether `modules` say what the keys are. */
export function readTorchNames(keys: Iterable<string>, options: TorchNameOptions = {}): NamesFromTorch {
  const all = [...keys];
  const wrapped = wrapperLength(all);
  const renames = renamesOf(options);
  const names = new Map<string, string>();
  const dropped: string[] = [];
  for (const key of all) {
    const bare = key.slice(wrapped);
    if (lastPart(bare) === counterName) dropped.push(key);
    else names.set(key, fromTorch(bare, renames));
  }
  return { names, dropped };
}

/**
 * Names our tensors as PyTorch's: the inverse of `fromTorchNames` with the same options.
 * @throws FormatError where two names get one key
 */
export function toTorchNames(names: Iterable<string>, options: TorchNameOptions = {}): NamesToTorch {
  const renames = renamesOf(options);
  const keys = new Map<string, string>();
  const takenBy = new Map<string, string>();
  const counters: string[] = [];
  for (const name of names) {
    const key = toTorch(name, renames);
    const other = takenBy.get(key);
    if (other !== undefined) {
      throw new FormatError(
        `state dict: ${quote(other)} and ${quote(name)} are both ${quote(key)} in PyTorch`,
      );
    }
    takenBy.set(key, name);
    keys.set(name, key);
    if (lastPart(key) === "running_mean")
      counters.push(`${key.slice(0, -"running_mean".length)}${counterName}`);
  }
  return { names: keys, counters };
}

/** A full path in the reference's names and in ours. */
interface Rename {
  readonly theirs: string;
  readonly ours: string;
}

/** All modules' names with full paths. A module's own place may be named by one that holds it. */
function renamesOf({ modules = {} }: TorchNameOptions): readonly Rename[] {
  const renames: Rename[] = [];
  for (const [path, names] of Object.entries(modules).sort(([a], [b]) => a.length - b.length)) {
    const place = toTorch(path, renames);
    for (const [theirs, ours] of Object.entries(names)) {
      renames.push({ theirs: join(place, theirs), ours: join(path, ours) });
    }
  }
  return renames;
}

function fromTorch(key: string, renames: readonly Rename[]): string {
  return replaced(
    key,
    renames,
    ({ theirs }) => theirs,
    ({ ours }) => ours,
    camelCase,
  );
}

function toTorch(name: string, renames: readonly Rename[]): string {
  return replaced(
    name,
    renames,
    ({ ours }) => ours,
    ({ theirs }) => theirs,
    snakeCase,
  );
}

/** Replaces the longest beginning that `from` names, and converts the other parts. */
function replaced(
  path: string,
  renames: readonly Rename[],
  from: (rename: Rename) => string,
  to: (rename: Rename) => string,
  convert: (part: string) => string,
): string {
  let found: Rename | undefined;
  for (const rename of renames) {
    const start = from(rename);
    if (path !== start && !path.startsWith(`${start}.`)) continue;
    if (!found || start.length > from(found).length) found = rename;
  }
  if (!found) return mapParts(path, convert);
  const rest = path.slice(from(found).length);
  return `${to(found)}${mapParts(rest, convert)}`;
}

/** `running_mean` to `runningMean`. An underscore before anything but a lower-case letter stays: `conv1_1`. */
function camelCase(part: string): string {
  return part.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function snakeCase(part: string): string {
  return part.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function mapParts(path: string, convert: (part: string) => string): string {
  return path.split(".").map(convert).join(".");
}

function join(path: string, rest: string): string {
  return path === "" ? rest : `${path}.${rest}`;
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

function wrapperLength(keys: readonly string[]): number {
  let length = 0;
  for (;;) {
    const prefix = wrapperPrefixes.find((text) => keys.every((key) => key.startsWith(text, length)));
    if (prefix === undefined || keys.length === 0) return length;
    length += prefix.length;
  }
}
