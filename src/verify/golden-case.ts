import * as z from "zod/mini";
import type { HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { toHostTensor } from "../formats/file-tensor.js";
import { readSafetensors } from "../formats/safetensors.js";

const caseSchema = z.object({
  mechanism: z.string(),
  options: z.record(z.string(), z.unknown()),
  mode: z.enum(["eval", "train"]),
  inputs: z.array(z.string()).check(z.minLength(1)),
  outputs: z.array(z.string()).check(z.minLength(1)),
  fp32Error: z.object({ output: z.number(), gradInput: z.number(), gradParam: z.number() }),
  zeroGrads: z.optional(z.array(z.string())),
  /** Formula of values that are not stored. */
  fill: z.optional(z.object({ algorithm: z.literal("mulberry32-v1"), seed: z.uint32() })),
  /** The reference code's state dict: key, shape, dtype, and L2 norm of a parameter's gradient; null for a buffer. */
  stateDict: z.optional(z.array(z.tuple([z.string(), z.array(z.int()), z.string(), z.nullable(z.number())]))),
  /** Number of trained values. */
  parameterCount: z.optional(z.int()),
});

/** A reference case: a mechanism or a network, what goes in, and what must come out. */
export interface GoldenCase extends z.output<typeof caseSchema> {
  /** Reference values by role and name: `param.fc1.weight`, `input.x`, `gradInput.x`, `map.attention` ... */
  readonly tensors: ReadonlyMap<string, HostTensor>;
}

/** Reads a golden file. @throws FormatError where it is no safetensors file or its case is malformed */
export function readGoldenCase(bytes: Uint8Array, source: string): GoldenCase {
  const { metadata, tensors } = readSafetensors(bytes, { source });
  const { case: text } = metadata;
  if (text === undefined)
    throw new FormatError(`${source}: expected a golden case, found no "case" in the metadata`);
  const parsed = z.safeParse(caseSchema, parseJson(text, source));
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw new FormatError(`${source}: malformed golden case; ${problems.join("; ")}`);
  }
  return {
    ...parsed.data,
    tensors: new Map([...tensors].map(([name, tensor]) => [name, toHostTensor(tensor, name)])),
  };
}

function parseJson(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FormatError(`${source}: the case is no JSON`, { cause: error });
  }
}

/** Reference values of a role by name. */
export function tensorsOf(golden: GoldenCase, role: string): Map<string, HostTensor> {
  const prefix = `${role}.`;
  return new Map(
    [...golden.tensors]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, tensor]) => [name.slice(prefix.length), tensor]),
  );
}
