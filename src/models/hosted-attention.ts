import { mechanismClass } from "../attention/catalogue.js";
import { channelOptions } from "../attention/channel-options.js";
import type { CallSignature, Mechanism, NamedSize } from "../attention/mechanism.js";
import { describeOptions } from "../attention/option-description.js";
import { anyAxes } from "../attention/sizes.js";
import { readMechanism } from "../attention/written-mechanism.js";
import { OptionError } from "../base/errors.js";
import type { Layer } from "../nn/sequential.js";

/** Makes the attention of a block from the number of channels that it sees. */
export type AttentionFactory = (channels: number) => Layer;

/** Options that mechanisms have in a network where they are not given, by id, from the number of channels. */
export type UsualOptions = Readonly<Record<string, (channels: number) => Readonly<Record<string, unknown>>>>;

/**
 * What makes the mechanism that a word names (`se`, `se:reduction=8`) for the blocks of a network; none for "none". A mechanism that can
 * put out another number of channels is told to keep it.
 * @throws OptionError for an unknown mechanism; the factory throws it for options that the mechanism refuses, and for a mechanism that does
 *   not make one feature map [N, C, H, W] of another with as many channels
 */
export function attentionFactory(text: string, usual: UsualOptions = {}): AttentionFactory | undefined {
  if (text === "none") return undefined;
  const { id, options } = readMechanism(text);
  const type = mechanismClass(id);
  const { about } = type;
  const widens = describeOptions(about.options).some(({ name }) => name === "outChannels");
  return (channels) => {
    const kept = { ...channelOptions(about, channels), ...(widens ? { outChannels: channels } : {}) };
    return requireLayer(id, new type({ ...kept, ...usual[id]?.(channels), ...options } as never));
  };
}

function requireLayer(id: string, mechanism: Mechanism): Layer {
  const signature = mechanism.signature();
  if (mapsFeatures(signature)) return mechanism as Mechanism & Layer;
  throw new OptionError(
    `attention ${id} does not fit into a block: there it gets one feature map [N, C, H, W] and must return one of the same shape; ${describe(signature)}`,
  );
}

/** Whether one feature map goes in and one with as many channels comes out; whether it keeps the size, only a trace can tell. */
function mapsFeatures({ inputs, outputs }: CallSignature): boolean {
  const shapes = [...Object.values(inputs).map(({ shape }) => shape), ...Object.values(outputs)];
  const [input, output] = shapes;
  if (!input || !output || shapes.length > 2 || input[1] !== output[1]) return false;
  return shapes.every((shape) => (shape.length === 4 || shape.includes(anyAxes)) && shape[1] !== anyAxes);
}

function describe({ inputs, outputs }: CallSignature): string {
  const list = (shapes: readonly (readonly [string, readonly NamedSize[]])[]) =>
    shapes.map(([name, shape]) => `${name} [${shape.join(", ")}]`).join(" and ");
  const given = list(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
  return `it takes ${given} and returns ${list(Object.entries(outputs))}`;
}
