import { FormatError } from "../base/errors.js";
import { formatShape } from "../graph/size.js";

interface Typed {
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** Refuses named tensors that are not exactly the expected ones. @throws FormatError that names each missing, unused and mis-shaped key */
export function checkTensors(
  what: string,
  found: ReadonlyMap<string, Typed>,
  expected: ReadonlyMap<string, Typed>,
): void {
  const missing = [...expected.keys()].filter((name) => !found.has(name));
  const unused = [...found.keys()].filter((name) => !expected.has(name));
  const misshaped = [...expected].flatMap(([name, type]) => {
    const other = found.get(name);
    if (!other || described(other) === described(type)) return [];
    return [`${name}: expected ${described(type)}, found ${described(other)}`];
  });
  const problems = Object.entries({ missing, unused, "mis-shaped": misshaped })
    .filter(([, names]) => names.length > 0)
    .map(([problem, names]) => `${problem}: ${names.join(", ")}`);
  if (problems.length > 0) throw new FormatError(`${what} does not fit the model; ${problems.join("; ")}`);
}

function described({ dtype, shape }: Typed): string {
  return `${dtype} ${formatShape(shape)}`;
}
