import * as z from "zod/mini";
import type { DType, HostTensor } from "../base/dtype.js";
import { OptionError, ShapeError } from "../base/errors.js";
import { formatShape, type Size } from "../graph/size.js";
import { Tensor } from "../graph/tensor.js";
import { Module } from "../nn/module.js";

/** The survey's taxonomy. */
export type Family =
  | "channel"
  | "spatial"
  | "temporal"
  | "branch"
  | "channel-spatial"
  | "spatial-temporal"
  | "transformer";

/** What a map shows, which decides how it is drawn. */
export type MapKind = "channel-gate" | "spatial" | "tokens" | "branch" | "temporal" | "glimpse";

/** A size by name (`batch`, `height`), equal wherever the name stands, or a number. */
export type NamedSize = string | number;

/** An attention map as a mechanism declares it. */
export interface AttentionMap {
  readonly kind: MapKind;
  readonly shape: readonly NamedSize[];
  /** Closed range of its values. */
  readonly range?: readonly [number, number];
  /** Axes over which its values sum to one. */
  readonly sumsToOne?: readonly number[];
  /** Path of the tap it comes from, below the mechanism's; by default the map's own name. */
  readonly tap?: string;
}

/** An input of a call. */
export interface CallInput {
  readonly shape: readonly NamedSize[];
  readonly dtype?: DType;
  readonly optional?: boolean;
}

/** An entry point of a mechanism. */
export interface CallSignature {
  /** One input is passed by itself, several as one object. */
  readonly inputs: Readonly<Record<string, CallInput>>;
  readonly outputs: Readonly<Record<string, readonly NamedSize[]>>;
  /** Refuses values that a trace cannot see (labels, lengths, masks). @throws DataError */
  check?(inputs: Readonly<Record<string, HostTensor>>): void;
}

/** Concrete sizes of named axes. */
export type Sizes = Readonly<Record<string, number>>;

/** All that is known about a mechanism: the catalogue, the command line, the documents and the tests read it. */
export interface About<Id extends string, S extends z.ZodMiniObject> {
  readonly id: Id;
  readonly name: string;
  readonly family: Family;
  readonly year: number;
  /** Authors, title, venue. */
  readonly paper: string;
  readonly arxiv?: string;
  /** The computation in TeX. */
  readonly formula: string;
  readonly options: S;
  maps(options: z.output<S>): Readonly<Record<string, AttentionMap>>;
  /** Entry points; by default `forward` of x [batch, channels, height, width] to y of the same shape. */
  calls?(options: z.output<S>): Readonly<Record<string, CallSignature>>;
  /** Number of trained values. */
  parameters(options: z.output<S>): number;
  /** Multiply-accumulates of products and convolutions in `forward`, by named sizes. */
  macs(options: z.output<S>, sizes: Sizes): number;
  /** Options that the specification forbids, for the contract test. */
  readonly refused: readonly Partial<Record<keyof z.input<S>, unknown>>[];
  /** Small cases for tests and documents: options and the named sizes of the inputs. */
  readonly examples: readonly [MechanismExample<z.input<S>>, ...MechanismExample<z.input<S>>[]];
  /** Keys of reference checkpoints where they are not ours in snake_case: theirs to ours. */
  readonly checkpoints?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** Options and sizes with which a mechanism can be tried. */
export interface MechanismExample<O> {
  readonly options: O;
  readonly sizes: Sizes;
}

/** A mechanism whose options are known only at run time. */
export type AnyAbout = About<string, z.ZodMiniObject>;

/** What every mechanism instance has. */
export abstract class Mechanism<O = unknown> extends Module {
  /** Options with their defaults filled in. */
  readonly options: O;
  readonly #calls: Readonly<Record<string, CallSignature>>;

  constructor(options: O, calls: Readonly<Record<string, CallSignature>>) {
    super();
    this.options = options;
    this.#calls = calls;
  }

  /** Checks the arguments of a call against its signature. @throws ShapeError */
  protected override enter(call: string, args: readonly unknown[]): void {
    const signature = this.#calls[call];
    if (signature) checkInputs(`${this.constructor.name}.${call}`, signature, args[0]);
  }
}

/** Base class of a mechanism: `class X extends mechanism({...})`. */
export interface MechanismBase<Id extends string, S extends z.ZodMiniObject> {
  readonly about: About<Id, S>;
  readonly calls: readonly string[];
  new (options: z.input<S>): Mechanism<z.output<S>>;
}

/** Options that the constructor of a mechanism takes. */
export type Options<C extends { readonly about: { readonly options: z.ZodMiniObject } }> = z.input<
  C["about"]["options"]
>;

/** Declares a mechanism and returns the class to extend. */
export function mechanism<const Id extends string, S extends z.ZodMiniObject>(
  about: About<Id, S>,
): MechanismBase<Id, S> {
  return class extends Mechanism<z.output<S>> {
    static readonly about = about;
    static override readonly calls = about.calls
      ? Object.keys(about.calls(parseOptions(about, about.examples[0].options)))
      : ["forward"];

    constructor(options: z.input<S>) {
      const parsed = parseOptions(about, options);
      super(parsed, callsOf(about, parsed));
    }
  };
}

/** Options with defaults filled in. @throws OptionError that names option, value and rule */
export function parseOptions<Id extends string, S extends z.ZodMiniObject>(
  about: About<Id, S>,
  options: unknown,
): z.output<S> {
  const result = z.safeParse(about.options, options);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const path = issue.path.join(".");
    const value = issue.path.reduce<unknown>(
      (part, key) => (part as Record<PropertyKey, unknown> | undefined)?.[key],
      options,
    );
    return path === "" ? issue.message : `${path} is ${show(value)}: ${issue.message}`;
  });
  throw new OptionError(`${about.id}: ${problems.join("; ")}`);
}

function show(value: unknown): string {
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
}

/** Entry points of a mechanism with these options. */
export function callsOf<Id extends string, S extends z.ZodMiniObject>(
  about: About<Id, S>,
  options: z.output<S>,
): Readonly<Record<string, CallSignature>> {
  if (about.calls) return about.calls(options);
  const image = ["batch", (options as { channels: number }).channels, "height", "width"];
  return { forward: { inputs: { x: { shape: image } }, outputs: { y: image } } };
}

/** Refuses arguments that do not fit a signature: rank, dtype, fixed sizes, and names that stand for two sizes. */
function checkInputs(call: string, signature: CallSignature, argument: unknown): void {
  const names = Object.keys(signature.inputs);
  const [only] = names;
  const given =
    names.length === 1 && only ? { [only]: argument } : (argument as Readonly<Record<string, unknown>>);
  const bound = new Map<string, Size>();
  for (const [name, { shape, dtype = "float32", optional }] of Object.entries(signature.inputs)) {
    const tensor = given?.[name];
    if (tensor === undefined && optional) continue;
    if (!(tensor instanceof Tensor)) throw new ShapeError(`${call}: input ${name} must be a tensor`);
    const expected = `${call}: input ${name} must be ${dtype} [${shape.join(", ")}]`;
    const fits =
      tensor.dtype === dtype &&
      tensor.rank === shape.length &&
      shape.every((size, axis) => {
        const found = tensor.shape[axis]!;
        if (typeof size === "number") return found === size;
        if (!bound.has(size)) bound.set(size, found);
        return bound.get(size) === found;
      });
    if (!fits) throw new ShapeError(`${expected}, found ${tensor.dtype} ${formatShape(tensor.shape)}`);
  }
}
