import type * as z from "zod/mini";

/** What is known of an option, read from its schema. */
export interface OptionDescription {
  readonly name: string;
  readonly type: OptionType;
  /** True where it must be given. */
  readonly required: boolean;
  /** True where null is allowed. */
  readonly nullable: boolean;
  /** Value where it is left out. */
  readonly default?: unknown;
}

/** The values that an option takes. */
export interface OptionType {
  readonly kind: "integer" | "number" | "boolean" | "string" | "choice" | "list" | "any";
  /** Rules beyond the kind, as they stand in errors: `>= 1`, `must be odd`. */
  readonly rules: readonly string[];
  /** Bounds of a number, or of a list's length. */
  readonly minimum?: Bound;
  readonly maximum?: Bound;
  /** Values of a choice. */
  readonly values?: readonly (string | number | boolean)[];
  /** Types of which a value has one. */
  readonly alternatives?: readonly OptionType[];
  /** Type of a list's elements. */
  readonly elements?: OptionType;
}

/** A bound; exclusive: the bound itself is not allowed. */
export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

/** The parts of a zod definition that are read. */
interface Definition {
  readonly type: string;
  readonly innerType?: Schema;
  readonly defaultValue?: unknown;
  readonly format?: string;
  readonly checks?: readonly Schema[];
  readonly entries?: Readonly<Record<string, string | number>>;
  readonly values?: readonly (string | number | boolean)[];
  readonly element?: Schema;
  readonly items?: readonly Schema[];
  readonly options?: readonly Schema[];
  readonly check?: string;
  readonly value?: number;
  readonly inclusive?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly length?: number;
  readonly error?: (issue: object) => unknown;
  readonly path?: readonly PropertyKey[];
}

interface Schema {
  readonly _zod: { readonly def: unknown };
}

function definition(schema: Schema): Definition {
  return schema._zod.def as Definition;
}

/** The options of a mechanism, in the order of its schema. */
export function describeOptions(schema: z.ZodMiniObject): OptionDescription[] {
  return Object.entries(schema.shape as Readonly<Record<string, Schema>>).map(([name, option]) => {
    let required = true;
    let nullable = false;
    let fallback: { default?: unknown } = {};
    let inner = option;
    for (;;) {
      const def = definition(inner);
      if (!def.innerType) break;
      required &&= def.type === "nullable";
      nullable ||= def.type === "nullable";
      if (def.type === "default" || def.type === "prefault") fallback = { default: def.defaultValue };
      inner = def.innerType;
    }
    return { name, type: describeType(inner), required, nullable, ...fallback };
  });
}

/** A rule between options. */
export interface OptionRule {
  /** Option at which it is reported; undefined where it is about all. */
  readonly option: string | undefined;
  readonly rule: string;
}

/** The rules between options of a mechanism, as they stand in errors. */
export function describeRules(schema: z.ZodMiniObject): OptionRule[] {
  return (definition(schema).checks ?? []).map(definition).flatMap((check) => {
    const option = check.path?.[0];
    return ruleOf(check).map((rule) => ({ option: typeof option === "string" ? option : undefined, rule }));
  });
}

function describeType(schema: Schema): OptionType {
  const def = definition(schema);
  const checks = (def.checks ?? []).map(definition);
  const common = { rules: checks.flatMap(ruleOf), ...boundsOf(checks) };
  switch (def.type) {
    case "number": {
      const integer = def.format?.includes("int") || checks.some(({ format }) => format?.includes("int"));
      return { kind: integer ? "integer" : "number", ...common };
    }
    case "boolean":
    case "string":
      return { kind: def.type, ...common };
    case "enum":
      return { kind: "choice", values: Object.values(def.entries ?? {}), ...common };
    case "literal":
      return { kind: "choice", values: def.values ?? [], ...common };
    case "array":
      return { kind: "list", ...(def.element ? { elements: describeType(def.element) } : {}), ...common };
    case "tuple": {
      const [first] = def.items ?? [];
      const rules = [`${def.items?.length ?? 0} values`, ...common.rules];
      return { kind: "list", ...(first ? { elements: describeType(first) } : {}), ...common, rules };
    }
    case "union":
      return { kind: "any", alternatives: (def.options ?? []).map(describeType), ...common };
    default:
      return definition(schema).innerType
        ? describeType(definition(schema).innerType!)
        : { kind: "any", ...common };
  }
}

function ruleOf(check: Definition): string[] {
  switch (check.check) {
    case "greater_than":
      return [`${check.inclusive ? ">=" : ">"} ${check.value}`];
    case "less_than":
      return [`${check.inclusive ? "<=" : "<"} ${check.value}`];
    case "multiple_of":
      return [`a multiple of ${check.value}`];
    case "min_length":
      return [`at least ${count(check.minimum)}`];
    case "max_length":
      return [`at most ${count(check.maximum)}`];
    case "length_equals":
      return [count(check.length)];
    case "custom": {
      const message = check.error?.({});
      return typeof message === "string" ? [message] : [];
    }
    default:
      return [];
  }
}

function count(values = 0): string {
  return values === 1 ? "1 value" : `${values} values`;
}

function boundsOf(checks: readonly Definition[]): { minimum?: Bound; maximum?: Bound } {
  const lower = checks.find(({ check }) => check === "greater_than");
  const upper = checks.find(({ check }) => check === "less_than");
  return {
    ...(lower ? { minimum: { value: lower.value!, exclusive: !lower.inclusive } } : {}),
    ...(upper ? { maximum: { value: upper.value!, exclusive: !upper.inclusive } } : {}),
  };
}

/** A type in words: `integer >= 1`, `"sum" | "product"`, `list of integer >= 1`. */
export function formatType(type: OptionType): string {
  const words =
    type.kind === "choice"
      ? (type.values ?? []).map((value) => JSON.stringify(value)).join(" | ")
      : type.alternatives
        ? type.alternatives.map(formatType).join(" | ")
        : type.elements
          ? `list of ${formatType(type.elements)}`
          : type.kind;
  return [words, ...type.rules].join(", ").replace(/^(\w+), (?=[<>])/, "$1 ");
}
