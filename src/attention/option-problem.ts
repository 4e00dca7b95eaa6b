import type * as z from "zod/mini";
import { describeOptions, formatType } from "./option-description.js";

/** What is wrong with options, in a form that names option, value and rule. */
export function optionProblem(schema: z.ZodMiniObject, options: unknown, issue: z.core.$ZodIssue): string {
  const [name] = issue.path;
  const described = describeOptions(schema);
  if (name === undefined) {
    const names = described.map((option) => option.name).join(", ");
    if (issue.code === "unrecognized_keys") {
      return `no option ${issue.keys.join(", ")}; the options are ${names}`;
    }
    if (issue.code === "custom") return issue.message;
    return `options are ${show(options)}; they must be an object of ${names}`;
  }
  const option = described.find((candidate) => candidate.name === name);
  const value = issue.path.reduce<unknown>(
    (part, key) => (part as Record<PropertyKey, unknown> | null | undefined)?.[key],
    options,
  );
  const where = issue.path.reduce<string>(
    (text, key) =>
      typeof key === "number" ? `${text}[${key}]` : text ? `${text}.${String(key)}` : String(key),
    "",
  );
  const isMissing = value === undefined && issue.path.length === 1;
  const shown =
    isMissing && option && "default" in option ? `${show(option.default)} (default)` : show(value);
  if (issue.code === "custom") return `${where} is ${shown}: ${issue.message}`;
  const rule = option ? formatType(option.type) + (option.nullable ? " or null" : "") : issue.message;
  return `${where} is ${shown}; ${issue.path.length > 1 ? `${String(name)} must be` : "it must be"} ${rule}`;
}

/** A value as it would be written; JSON has no NaN. */
function show(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "number") return String(value);
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  return JSON.stringify(value) ?? String(value);
}
