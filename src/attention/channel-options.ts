import type { AnyAbout } from "./mechanism.js";
import { describeOptions } from "./option-description.js";

/**
 * The options by which a mechanism is told a number of channels: `channels` or `inChannels`, and as many `outChannels` where they must be
 * given. None for a mechanism that takes any number.
 */
export function channelOptions(about: AnyAbout, channels: number): Readonly<Record<string, number>> {
  const described = describeOptions(about.options);
  const name = ["channels", "inChannels"].find((option) => described.some((other) => other.name === option));
  if (name === undefined) return {};
  const widens = described.some((option) => option.name === "outChannels" && option.required);
  return { [name]: channels, ...(widens ? { outChannels: channels } : {}) };
}

/** What must be given besides, as in the mechanism's first example. */
export function exampleRequirements(about: AnyAbout): Readonly<Record<string, unknown>> {
  const example = about.examples[0].options as Readonly<Record<string, unknown>>;
  const required = describeOptions(about.options).filter((option) => option.required);
  return Object.fromEntries(required.map(({ name }) => [name, example[name]]));
}
