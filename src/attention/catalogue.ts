import { OptionError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import { SqueezeExcitation } from "./channel/squeeze-excitation.js";
import { CBAM } from "./channel-spatial/cbam.js";
import type { AnyAbout, Family, Mechanism, Options } from "./mechanism.js";
import { APNB } from "./spatial/apnb.js";
import { CrissCrossAttention } from "./spatial/ccnet.js";

/** Every mechanism. */
const classes = [SqueezeExcitation, CBAM, APNB, CrissCrossAttention] as const;

type MechanismClass = (typeof classes)[number];

/** Ids of all mechanisms. */
export type MechanismId = MechanismClass["about"]["id"];

/** The class of a mechanism. */
export type MechanismOf<Id extends MechanismId> = Extract<
  MechanismClass,
  { readonly about: { readonly id: Id } }
>;

/** A mechanism class whose options are known only at run time. */
export interface AnyMechanismClass {
  readonly about: AnyAbout;
  readonly calls: readonly string[];
  new (options: never): Mechanism;
}

const byId: ReadonlyMap<string, AnyMechanismClass> = new Map(
  classes.map((type) => [type.about.id, type as unknown as AnyMechanismClass]),
);

/** What to look for. */
export interface CatalogueQuery {
  readonly family?: Family;
  /** Pattern for ids or names, `*` for any characters; case does not matter. */
  readonly match?: string;
  readonly year?: number;
}

/** What is known about the mechanisms that fit, in the order of the catalogue. */
export function mechanisms(query: CatalogueQuery = {}): AnyAbout[] {
  return [...byId.values()]
    .map((type) => type.about)
    .filter((about) => query.family === undefined || about.family === query.family)
    .filter((about) => query.year === undefined || about.year === query.year)
    .filter(({ id, name }) => {
      const { match } = query;
      return (
        match === undefined || [id, name].some((text) => matchesPattern(text, match, { ignoreCase: true }))
      );
    });
}

/** The class of a mechanism by its id. @throws OptionError that names near ids */
export function mechanismClass(id: string): AnyMechanismClass {
  const found = byId.get(id);
  if (found) return found;
  const near = [...byId.keys()].filter((known) => known.includes(id) || id.includes(known));
  const hint =
    near.length > 0 ? `did you mean ${near.join(" or ")}?` : `known are ${[...byId.keys()].join(", ")}`;
  throw new OptionError(`no mechanism "${id}"; ${hint}`);
}

/** Builds a mechanism by its id. @throws OptionError for an unknown id or options that its specification forbids */
export function create<Id extends MechanismId>(
  id: Id,
  options: Options<MechanismOf<Id>>,
): InstanceType<MechanismOf<Id>> {
  const type = mechanismClass(id) as unknown as new (options: unknown) => InstanceType<MechanismOf<Id>>;
  return new type(options);
}
