/** A JSON value as a configuration holds it. */
export type ConfigValue =
  | null
  | boolean
  | number
  | string
  | readonly ConfigValue[]
  | { readonly [name: string]: ConfigValue };

/** What two configurations differ in, one line per value: `model.widths.1 was 8, is 16`. */
export function configDifferences(before: ConfigValue, now: ConfigValue, path = ""): string[] {
  if (isTree(before) && isTree(now) && Array.isArray(before) === Array.isArray(now)) {
    const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    return names.flatMap((name) => {
      const inner = path === "" ? name : `${path}.${name}`;
      const [old, fresh] = [own(before, name), own(now, name)];
      if (old === undefined) return [`${inner} was missing, is ${JSON.stringify(fresh)}`];
      if (fresh === undefined) return [`${inner} was ${JSON.stringify(old)}, is missing`];
      return configDifferences(old, fresh, inner);
    });
  }
  if (!isTree(before) && !isTree(now) && Object.is(before, now)) return [];
  return [`${path} was ${JSON.stringify(before)}, is ${JSON.stringify(now)}`];
}

type Tree = { readonly [name: string]: ConfigValue };

function isTree(value: ConfigValue): value is Tree & readonly ConfigValue[] {
  return typeof value === "object" && value !== null;
}

function own(tree: Tree, name: string): ConfigValue | undefined {
  return Object.hasOwn(tree, name) ? tree[name] : undefined;
}
