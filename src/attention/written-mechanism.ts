import { OptionError } from "../base/errors.js";

/** A mechanism as it is written in a word: its id and the options that it is given. */
export interface WrittenMechanism {
  readonly id: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/**
 * Reads a mechanism from a word: `se`, `se:reduction=8,gate=hardSigmoid`, `sk:kernelSizes=[3,5]`. A value is JSON where it reads as such,
 * else text. Neither id nor options are checked.
 * @throws OptionError for another form, or an option that is given twice
 */
export function readMechanism(text: string): WrittenMechanism {
  const colon = text.indexOf(":");
  if (colon < 0) return { id: text, options: {} };
  // A comma before a name and an equals sign parts options; others are in lists.
  const assignments = text.slice(colon + 1).split(/,(?=\s*\w+=)/);
  const options: Record<string, unknown> = {};
  for (const assignment of assignments) {
    const [, name, value] = /^\s*([A-Za-z]\w*)=(.+)$/.exec(assignment) ?? [];
    if (name === undefined || value === undefined) {
      throw new OptionError(
        `"${text}": options are written as id:name=value,name=value; found "${assignment}"`,
      );
    }
    if (Object.hasOwn(options, name)) throw new OptionError(`"${text}": ${name} is given twice`);
    options[name] = readValue(value);
  }
  return { id: text.slice(0, colon), options };
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
