// The page docs/mechanisms.md: what the catalogue knows of every mechanism. `npm run docs` writes it; a test keeps it equal to the code.
import {
  callText,
  defaultText,
  type Facts,
  mapHeaders,
  mapRows,
  mechanismFacts,
} from "../src/attention/facts.js";
import type { AnyAbout } from "../src/attention/mechanism.js";
import { resolveShape, type Sizes } from "../src/attention/sizes.js";
import { elementCount } from "../src/base/dtype.js";
import { concreteShape } from "../src/graph/size.js";
import { markdownTable } from "../src/report/table.js";
import { formatInteger } from "../src/report/units.js";
import { mechanismTable, paperText, sortedMechanisms } from "./mechanism-table.js";

export const mechanismsFile = "docs/mechanisms.md";

/** The whole page. */
export function mechanismsPage(): string {
  const table = mechanismTable({
    headers: ["id", "name", "family", "year", "paper"],
    family: (family) => family,
    id: (about) => `[\`${about.id}\`](#${anchor(headingOf(about))})`,
  });
  const sections = sortedMechanisms().map((about) => section(about));
  const head = `# Mechanisms

<!-- Written by \`npm run docs\` from the catalogue in src/attention; edit it there. -->

Every mechanism of the catalogue: computation, options, shapes, maps and cost. The same is in \`fovea list\`, \`fovea show ID\`, \`mechanisms()\` and the class's \`about\`.

A size that is a name means the same wherever it stands; \`...\` stands for any number of axes, \`?\` behind a name for an input that may be left out. Inputs are float32 where nothing else is said. Multiply-accumulates are those of products and convolutions in \`forward\`. A map is a tap: in a network it is found under the mechanism's path, as with \`run(model, x, { taps: ["*.attention"] })\`. The code begins with \`import { create, run } from "fovea"\`.`;
  return `${[head, table, ...sections].join("\n\n")}\n`;
}

/** The code that stands in a section. */
export function exampleCode(about: AnyAbout): string {
  const [example] = about.examples;
  const facts = mechanismFacts(about, example as Facts["example"]);
  const [call, signature] = Object.entries(facts.calls)[0]!;
  const inputs = Object.entries(signature.inputs).filter(
    ([name, { optional }]) => !optional || example.inputs?.[name],
  );
  const tensors = inputs.map(([name, declared]) => {
    const given = example.inputs?.[name];
    const shape = concreteShape(resolveShape(given?.shape ?? declared.shape, example.sizes));
    const dtype = given?.dtype ?? declared.dtype ?? "float32";
    const values = given?.values?.(example.sizes);
    return `const ${name} = { dtype: "${dtype}", shape: ${list(shape)}, data: ${arrayCode(dtype, elementCount(shape), values)} } as const;`;
  });
  const single = Object.keys(signature.inputs).length === 1;
  const given = single ? inputs[0]![0] : `{ ${inputs.map(([name]) => name).join(", ")} }`;
  const looks = Object.values(facts.maps).some(({ calls }) => !calls || calls.includes(call));
  const settings = [...(call === "forward" ? [] : [`call: "${call}"`]), ...(looks ? [`taps: ["*"]`] : [])];
  const options = settings.length > 0 ? `, { ${settings.join(", ")} }` : "";
  return [
    `const attention = create("${about.id}", ${objectCode(example.options)});`,
    ...tensors,
    `const { outputs${looks ? ", taps" : ""} } = await run(attention, ${given}${options});`,
  ].join("\n");
}

function headingOf(about: AnyAbout): string {
  return `${about.name} (\`${about.id}\`)`;
}

/** Anchor that GitHub gives a heading. */
export function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function section(about: AnyAbout): string {
  const facts = mechanismFacts(about, about.examples[0] as Facts["example"]);
  const { options, sizes, parameters, macs } = facts.example;
  const rules = facts.rules.map(
    ({ option, rule }) => `- ${option === undefined ? "" : `\`${option}\`: `}${rule}`,
  );
  const left = (header: string) => ({ header, align: "left" as const });
  const maps = mapRows(facts.maps).map(([name, ...others]) => [`\`${name}\``, ...others]);
  return [
    `## ${headingOf(about)}`,
    `${capital(facts.family)} attention, ${facts.year}. ${paperText(facts)}.`,
    `$$\n${facts.formula}\n$$`,
    facts.options.length === 0
      ? "No options."
      : markdownTable(
          ["option", "values", "default"].map(left),
          facts.options.map((option) => [
            `\`${option.name}\``,
            option.type,
            option.required ? "required" : defaultText(option),
          ]),
        ),
    ...(rules.length > 0 ? [rules.join("\n")] : []),
    `With \`${objectCode(options)}\`:`,
    Object.entries(facts.calls)
      .map(([name, call]) => `- \`${name}\`: \`${callText(call)}\``)
      .concat(
        `- ${formatInteger(parameters)} parameters; ${formatInteger(macs)} multiply-accumulates at ${sizesText(sizes)}`,
      )
      .join("\n"),
    maps.length === 0
      ? "No attention maps."
      : markdownTable(
          mapHeaders.map((header) => left(header === "name" ? "map" : header)),
          maps,
        ),
    `\`\`\`ts\n${exampleCode(about)}\n\`\`\``,
  ].join("\n\n");
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function sizesText(sizes: Sizes): string {
  return Object.entries(sizes)
    .map(([name, size]) => `${name} ${size}`)
    .join(", ");
}

/** An object or list as it is written in code. */
function objectCode(value: unknown): string {
  if (Array.isArray(value)) return list(value);
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([name, item]) => `${name}: ${objectCode(item)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

function list(values: readonly unknown[]): string {
  return `[${values.map(objectCode).join(", ")}]`;
}

function arrayCode(
  dtype: "float32" | "int64" | "bool",
  length: number,
  values: readonly number[] | undefined,
): string {
  const type = { float32: "Float32Array", int64: "BigInt64Array", bool: "Uint8Array" }[dtype];
  if (!values) return `new ${type}(${length})`;
  return `${type}.of(${values.map((value) => (dtype === "int64" ? `${value}n` : value)).join(", ")})`;
}
