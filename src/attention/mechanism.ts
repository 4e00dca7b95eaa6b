import * as z from "zod/mini";
import type { DType, HostTensor } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";
import { Module } from "../nn/module.js";
import type { CheckpointLayout } from "./checkpoint-layout.js";
import type { AttentionMap } from "./maps.js";
import { meetSizes } from "./met-sizes.js";
import { optionProblem } from "./option-problem.js";
import { type CallSignature, checkArgument, checkValues } from "./signature.js";
import type { NamedSize, Sizes } from "./sizes.js";

export type { AttentionMap, MapKind, TokenPlaces } from "./maps.js";
export type { CallInput, CallSignature } from "./signature.js";
export type { NamedSize, Sizes } from "./sizes.js";

/** The survey's taxonomy. */
export const families = [
  "channel",
  "spatial",
  "temporal",
  "branch",
  "channel-spatial",
  "spatial-temporal",
  "transformer",
] as const;
export type Family = (typeof families)[number];

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
  /** Attention maps by canonical name. */
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
  /** Layouts of reference checkpoints, by repository, where their keys are not our names in snake_case. */
  readonly checkpoints?: Readonly<Record<string, CheckpointLayout>>;
}

/** Options and sizes with which a mechanism can be tried. */
export interface MechanismExample<O> {
  readonly options: O;
  /** Every name in the shapes of inputs, outputs and maps. */
  readonly sizes: Sizes;
  /** Inputs that differ from what the signature says, by name: optional ones that are given (`{}`), and special shapes and values. */
  readonly inputs?: Readonly<Record<string, ExampleInput>>;
}

/** An input of an example. */
export interface ExampleInput {
  /** Where the signature leaves the rank open. */
  readonly shape?: readonly NamedSize[];
  /** Where the signature takes two; the first of them by default. */
  readonly dtype?: DType;
  /** Where random values do not do. */
  readonly values?: (sizes: Sizes) => readonly number[];
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

  /** Inputs and outputs of a call. @throws OptionError for a call that it has not with these options */
  signature(call = "forward"): CallSignature {
    const signature = Object.hasOwn(this.#calls, call) ? this.#calls[call] : undefined;
    if (signature) return signature;
    const calls = Object.keys(this.#calls).join(", ");
    throw new OptionError(`${this.constructor.name} has no call ${call}; it has ${calls}`);
  }

  /** Refuses values of inputs that a trace cannot see. @throws DataError */
  checkValues(call: string, inputs: Readonly<Record<string, HostTensor>>): void {
    checkValues(`${this.constructor.name}.${call}`, this.signature(call), inputs);
  }

  /** Checks the arguments of a call against its signature. @throws ShapeError */
  protected override enter(call: string, args: readonly unknown[]): void {
    meetSizes(this, checkArgument(`${this.constructor.name}.${call}`, this.signature(call), args[0]));
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
    static override readonly calls = [
      ...new Set(
        about.examples.flatMap(({ options }) => Object.keys(callsOf(about, parseOptions(about, options)))),
      ),
    ];

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
  const problems = result.error.issues.map((issue) => optionProblem(about.options, options, issue));
  throw new OptionError(`${about.id}: ${problems.join("; ")}`);
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
