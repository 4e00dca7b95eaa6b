import { checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import type { Variable } from "../graph/variable.js";

/** Settings for some of a model's parameters. */
export interface ParameterGroup {
  /** Paths, with `*` for any characters (`"layer1.*"`), or a predicate. */
  readonly match: string | ((path: string, parameter: Variable) => boolean);
  /** In place of the optimizer's. */
  readonly weightDecay?: number;
  /** Multiplies the schedule's learning rate; 1 by default. */
  readonly learningRateScale?: number;
  /** Keeps the values as they are: no gradient is computed and no optimizer state kept. */
  readonly frozen?: boolean;
}

/** Settings of one parameter. */
export interface ParameterSettings {
  readonly weightDecay: number;
  readonly learningRateScale: number;
  readonly frozen: boolean;
}

/** Takes biases and the scales and shifts of normalization (every parameter of at most one axis) out of weight decay. */
export const noDecayForBiasesAndNorms: ParameterGroup = {
  match: (_path, { shape }) => shape.length <= 1,
  weightDecay: 0,
};

/**
 * Settings of each parameter: all groups that fit, in order, a later one's settings in place of an earlier one's.
 * @throws OptionError for a value out of range, or a pattern that fits no parameter
 */
export function parameterSettings(
  parameters: ReadonlyMap<string, Variable>,
  groups: readonly ParameterGroup[],
  weightDecay: number,
): Map<string, ParameterSettings> {
  const fits = ({ match }: ParameterGroup, path: string, parameter: Variable) =>
    typeof match === "string" ? matchesPattern(path, match) : match(path, parameter);
  for (const group of groups) {
    for (const option of ["weightDecay", "learningRateScale"] as const) {
      if (group[option] !== undefined) checkNumber("parameter group", option, group[option], { min: 0 });
    }
    if (typeof group.match === "string" && ![...parameters].some(([path, p]) => fits(group, path, p))) {
      throw new OptionError(
        `parameter group: no parameter fits "${group.match}"; the model has ${[...parameters.keys()].join(", ") || "none"}`,
      );
    }
  }
  return new Map(
    [...parameters].map(([path, parameter]) => {
      let settings: ParameterSettings = { weightDecay, learningRateScale: 1, frozen: false };
      for (const { match, ...own } of groups.filter((group) => fits(group, path, parameter))) {
        settings = { ...settings, ...own };
      }
      return [path, settings];
    }),
  );
}
