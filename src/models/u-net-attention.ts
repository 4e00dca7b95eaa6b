import { mechanismClass } from "../attention/catalogue.js";
import type { Mechanism } from "../attention/mechanism.js";
import { describeOptions } from "../attention/option-description.js";
import { readMechanism } from "../attention/written-mechanism.js";
import { attentionFactory } from "./hosted-attention.js";
import type { SkipGate, UNetOptions } from "./u-net.js";

/**
 * Where the mechanism that a word names (`se`, `attention-gate:outputTransform=false`) stands in a U-Net: one with a gating signal on the
 * skip connections, any other at the end of the blocks.
 * @throws OptionError as `attentionFactory`
 */
export function unetAttention(text: string): Pick<UNetOptions, "attention" | "gate"> {
  const { id, options } = readMechanism(text);
  if (id === "none") return {};
  const type = mechanismClass(id);
  const gated = describeOptions(type.about.options).some(({ name }) => name === "gateChannels");
  if (!gated) return { attention: attentionFactory(text) };
  return { gate: (sizes) => new type({ ...sizes, ...options } as never) as Mechanism & SkipGate };
}
