import { mechanismClass } from "../../attention/catalogue.js";
import { channelOptions, exampleRequirements } from "../../attention/channel-options.js";
import type { AnyAbout, Mechanism } from "../../attention/mechanism.js";
import { type CallSignature, callArgument } from "../../attention/signature.js";
import { anyAxes, type NamedSize, resolveSize, type Sizes } from "../../attention/sizes.js";
import { readMechanism } from "../../attention/written-mechanism.js";
import { OptionError } from "../../base/errors.js";
import { type InputType, initialize, type Model, type Outputs } from "../../graph/model.js";
import { concreteShape } from "../../graph/size.js";
import { Tensor } from "../../graph/tensor.js";
import { Sequential } from "../../nn/sequential.js";

/** The image that every contestant gets. */
export interface ImageSizes {
  readonly batch: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** A mechanism that is compared: `none`, or as it was written. */
export interface Contestant {
  readonly name: string;
  readonly module: Model;
  /** Options that it was built with, those that have their defaults left out. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, InputType & { readonly shape: readonly number[] }>>;
  /** Applies it to symbolic tensors. */
  forward(inputs: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>>;
}

/**
 * Builds a mechanism for an image. What it needs besides the number of channels and is not given is as in its first example.
 * @param text `none`, `se`, `se:reduction=8`
 * @throws OptionError for an unknown mechanism or options that it refuses, and where it has no example of what it needs
 */
export function createContestant(text: string, image: ImageSizes): Contestant {
  return text === "none" ? identity(image) : createMechanism(text, image);
}

function identity({ batch, channels, height, width }: ImageSizes): Contestant {
  return {
    name: "none",
    module: new Sequential(),
    options: {},
    inputs: { x: { shape: [batch, channels, height, width] } },
    forward: ({ x }) => ({ y: x! }),
  };
}

function createMechanism(text: string, image: ImageSizes): Contestant {
  const { id, options: given } = readMechanism(text);
  const type = mechanismClass(id);
  const options = {
    ...exampleRequirements(type.about),
    ...channelOptions(type.about, image.channels),
    ...given,
  };
  const module = build(text, () => new type(options as never));
  refuseWithoutImage(id, module.signature());
  const sizes = namedSizes(type.about, image);
  return mechanismContestant(text, { module, options }, (shape) => imageShape(shape, sizes));
}

/**
 * A mechanism as it is measured: with its initial weights, and the inputs that it must have.
 * @param shapeOf sizes of an input from those that its signature names
 */
export function mechanismContestant(
  name: string,
  { module, options }: { readonly module: Mechanism; readonly options: Contestant["options"] },
  shapeOf: (declared: readonly NamedSize[]) => readonly number[],
): Contestant {
  initialize(module);
  const signature = module.signature();
  const inputs = Object.entries(signature.inputs)
    .filter(([, { optional }]) => !optional)
    .map(([input, { shape, dtype = "float32" }]) => [input, { shape: shapeOf(shape), dtype }] as const);
  const forward = (module as unknown as { forward(argument: unknown): Outputs }).forward.bind(module);
  return {
    name,
    module,
    options,
    inputs: Object.fromEntries(inputs),
    forward: (tensors) => {
      const result = forward(callArgument(signature, tensors));
      return result instanceof Tensor ? { y: result } : result;
    },
  };
}

/** Times of mechanisms whose inputs the image does not fill would not be comparable. */
function refuseWithoutImage(id: string, { inputs }: CallSignature): void {
  const required = Object.entries(inputs).filter(([, { optional }]) => !optional);
  const isFilled = (size: NamedSize) => size === anyAxes || /height/i.test(String(size));
  if (required.some(([, { shape }]) => shape.some(isFilled))) return;
  const taken = required.map(([name, { shape }]) => `${name} [${shape.join(", ")}]`);
  throw new OptionError(`${id} takes no image but ${taken.join(", ")}; it cannot be compared here`);
}

/** What is missing can be given with the id. */
function build<T>(text: string, create: () => T): T {
  try {
    return create();
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    const hint = `options are given as ${text.split(":", 1)[0]}:name=value,name=value`;
    throw new OptionError(`${error.message} (${hint})`, { cause: error });
  }
}

/** Sizes by name: every height and width is the image's, what else has a name is as in the first example. */
function namedSizes({ examples: [example] }: AnyAbout, image: ImageSizes): Sizes {
  const named = Object.entries(example.sizes).map(([name, size]) => {
    if (/height$/i.test(name)) return [name, image.height];
    return [name, /width$/i.test(name) ? image.width : size];
  });
  return { ...Object.fromEntries(named), ...image };
}

/** A declared shape in numbers; where it leaves the rank open stand the image's axes that it does not name. */
function imageShape(declared: readonly NamedSize[], sizes: Sizes): readonly number[] {
  const named = (axis: "height" | "width") =>
    declared.some((size) => typeof size === "string" && size.toLowerCase().endsWith(axis));
  const open = (["height", "width"] as const).filter((axis) => !named(axis));
  const axes = declared.flatMap((size) => (size === anyAxes ? open : [size]));
  return concreteShape(axes.map((size) => resolveSize(size, sizes)));
}
