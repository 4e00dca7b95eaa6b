import * as z from "zod/mini";
import type { MechanismId } from "../attention/catalogue.js";
import { optionProblem } from "../attention/option-problem.js";
import { positive, size } from "../attention/options.js";
import { OptionError } from "../base/errors.js";
import type { ImageModel, ImageTask } from "./image-model.js";
import { type Upsampling, upsamplings } from "./u-net.js";

/** A mechanism of the catalogue, by its id and with options of its own (`se:reduction=8`) or without; or "none". */
export type HostedMechanism = MechanismId | `${MechanismId}:${string}` | "none";

/** Every option that some network takes, with its rule. */
const rules = {
  numClasses: size,
  inChannels: size,
  attention: z.string(),
  imageSize: z.union([size, z.tuple([size, size])]),
  widthMultiplier: positive,
  baseChannels: size,
  depth: size,
  upsampling: z.enum(upsamplings),
};

/** Options of the networks. Which of them a network takes, and its defaults, stand in `info(name).defaults`. */
export interface ModelOptions {
  /** Number of classes. */
  readonly numClasses?: number;
  /** Channels of the image. */
  readonly inChannels?: number;
  /** Mechanism in every block of a network that hosts one. */
  readonly attention?: HostedMechanism;
  /** Height and width of the image, where the parameters depend on them. */
  readonly imageSize?: number | readonly [height: number, width: number];
  /** Scales the channels of every layer of a MobileNet. */
  readonly widthMultiplier?: number;
  /** Channels of the first level of a U-Net, which double from level to level. */
  readonly baseChannels?: number;
  /** How many times a U-Net halves the image. */
  readonly depth?: number;
  /** How a U-Net doubles its feature maps. */
  readonly upsampling?: Upsampling;
}

type AllOptions = Required<ModelOptions>;

/** A network of the registry. */
export interface Network {
  readonly description: string;
  readonly task: ImageTask;
  /** Authors, title, venue of what it follows, with the section or table that says how it is laid out. */
  readonly paper: string;
  /** Height and width of the images that it was designed for. */
  readonly imageSize: number;
  /** The options that it takes, with their values where they are not given. */
  readonly defaults: ModelOptions;
  build(options: AllOptions): ImageModel;
}

/** Declares a network, which is built from the options that have defaults. */
export function network<K extends keyof AllOptions>(
  entry: Omit<Network, "defaults" | "build"> & {
    readonly defaults: Pick<AllOptions, K>;
    build(options: Pick<AllOptions, K>): ImageModel;
  },
): Network {
  return entry;
}

/** Options with defaults filled in. @throws OptionError for one that the network does not take, or a value that it refuses */
export function networkOptions(name: string, { defaults }: Network, given: ModelOptions): AllOptions {
  const taken = Object.entries(rules).filter(([option]) => Object.hasOwn(defaults, option));
  const schema = z.strictObject(Object.fromEntries(taken));
  const provided = Object.entries(given).filter(([, value]) => value !== undefined);
  const options = { ...defaults, ...Object.fromEntries(provided) };
  const result = z.safeParse(schema, options);
  if (result.success) return result.data as unknown as AllOptions;
  const problems = result.error.issues.map((issue) => optionProblem(schema, options, issue));
  throw new OptionError(`${name}: ${problems.join("; ")}`);
}
