import * as z from "zod/mini";
import { DataError } from "../../src/base/errors.js";

const positive = z.number().check(z.positive());
const count = z.int().check(z.nonnegative());
const spread = z.strictObject({ median: positive, least: positive, most: positive });
const versions = z.record(z.string(), z.string());

/** How a contestant did in a row. */
const entry = z.strictObject({
  contestant: z.string(),
  milliseconds: spread,
  /** Our median over its median: below 1 we are faster. */
  ratio: positive,
  /** Milliseconds until the first result. */
  first: positive,
  /** Largest relative difference from our numbers. */
  difference: z.number().check(z.nonnegative()),
  /** Bytes of the process at most, and beyond what it held before the row. */
  memory: z.optional(z.strictObject({ peak: count, added: z.int() })),
});

const networkRow = z.strictObject({
  kind: z.literal("network"),
  id: z.string(),
  title: z.string(),
  pass: z.enum(["inference", "training"]),
  batch: count,
  /** Floating-point operations of products and convolutions in a call. */
  operations: z.number().check(z.nonnegative()),
  /** Nodes of our model. */
  nodes: count,
  /** Operations a second over those of the matrix product in the same rounds. */
  share: positive,
  /** Ours is first. */
  entries: z.array(entry).check(z.minLength(1)),
  /** Who did not take part, and why; `disagrees` where its numbers are not ours. */
  absent: z.array(z.strictObject({ contestant: z.string(), reason: z.string(), disagrees: z.boolean() })),
});

const mechanismRow = z.strictObject({
  kind: z.literal("mechanism"),
  id: z.string(),
  title: z.string(),
  pass: z.enum(["forward", "gradients"]),
  input: z.string(),
  milliseconds: spread,
  operations: z.number().check(z.nonnegative()),
  bytes: positive,
  /** Milliseconds that the machine needs for these operations or bytes, the larger. */
  roofline: positive,
  /** What the roofline is of. */
  bound: z.enum(["operations", "bytes"]),
  /** Median over roofline. */
  ratio: positive,
});

const buildRow = z.strictObject({
  kind: z.literal("build"),
  id: z.string(),
  title: z.string(),
  milliseconds: spread,
  parts: z.record(z.string(), spread),
  nodes: count,
});

const result = z.strictObject({
  format: z.literal(1),
  date: z.iso.datetime(),
  machine: z.strictObject({
    cpu: z.string(),
    cores: count,
    memory: positive,
    /** Load averages of 1, 5 and 15 minutes before and after. */
    load: z.strictObject({
      before: z.tuple([z.number(), z.number(), z.number()]),
      after: z.tuple([z.number(), z.number(), z.number()]),
    }),
  }),
  threads: count,
  rounds: count,
  /** Small batches: the figures say nothing. */
  quick: z.boolean(),
  /** By contestant. */
  versions: z.record(z.string(), versions),
  rows: z.array(z.discriminatedUnion("kind", [networkRow, mechanismRow, buildRow])),
  /** Rows that could not be measured, and why. */
  failed: z.array(z.strictObject({ id: z.string(), reason: z.string() })),
});

export type Result = z.output<typeof result>;
export type RowResult = Result["rows"][number];
export type NetworkResult = z.output<typeof networkRow>;
export type MechanismResult = z.output<typeof mechanismRow>;
export type BuildResult = z.output<typeof buildRow>;
export type Entry = z.output<typeof entry>;

/** Parses what a run has written. @throws DataError that names the first field that does not fit */
export function parseResult(json: unknown, source: string): Result {
  const parsed = z.safeParse(result, json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new DataError(`${source}: ${issue!.path.join(".") || "the file"}: ${issue!.message}`);
}
