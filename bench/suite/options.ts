import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { OptionError } from "../../src/base/errors.js";
import type { PeerOptions } from "./contestants.js";

/** Options of `npm run bench`. */
export interface BenchOptions extends PeerOptions {
  /** Pattern of the rows; all without it. */
  readonly rows: string | undefined;
  readonly rounds: number;
  readonly quick: boolean;
  /** Where the JSON file goes; none is written of a quick run unless told. */
  readonly to: string | undefined;
  /** A JSON file that is shown instead of measuring. */
  readonly from: string | undefined;
  /** Writes the figures into docs/benchmarks.md. */
  readonly docs: boolean;
}

/** What `--help` shows. */
export const help = `npm run bench -- [options]

  --rows PATTERN         only these: training/*, inference/se-resnet-50/*, mechanism/se/*, build/*; several with commas
  --rounds N             interleaved rounds (default 9; 3 with --quick)
  --threads N            threads of every contestant (default 2)
  --quick                small batches and few rounds: to try the benchmark, the figures say nothing
  --checkpoint           fovea as well with blocks that are computed again in the backward pass
  --calling-thread       inference of fovea as well without its worker: on the thread that calls
  --wasm                 fovea on WebAssembly as well, in headless Chromium
  --python PATH          PyTorch as well: a Python with torch, timm, torchvision, safetensors, and onnx and onnxscript for its export
  --peers NAMES          libraries in JavaScript as well: tfjs, jax-js
  --peer-modules FOLDER  where these are installed (default this checkout)
  --without PATTERNS     leaves contestants out, of all rows or of some: *channels*,inference/*:*compile*
  --to FILE              the JSON file (default bench/results/latest.json, none with --quick)
  --from FILE            shows a JSON file instead of measuring
  --docs                 writes the figures into docs/benchmarks.md
`;

const root = new URL("../../", import.meta.url);
const inRoot = (path: string) => fileURLToPath(new URL(path, root));

/** Reads the command line. @throws OptionError for what is not an option, or a count that is none */
export function readOptions(args: readonly string[]): BenchOptions | "help" {
  const { values } = parsed(args);
  if (values.help) return "help";
  const quick = values.quick ?? false;
  return {
    rows: values.rows,
    rounds: count("rounds", values.rounds, quick ? 3 : 9),
    threads: count("threads", values.threads, 2),
    quick,
    checkpoint: values.checkpoint ?? false,
    callingThread: values["calling-thread"] ?? false,
    wasm: values.wasm ?? false,
    python: values.python,
    peers: values.peers,
    peerModules: values["peer-modules"] ?? inRoot("."),
    without: values.without,
    to: values.to ?? (quick ? undefined : inRoot("bench/results/latest.json")),
    from: values.from,
    docs: values.docs ?? false,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rows: { type: "string" },
        rounds: { type: "string" },
        threads: { type: "string" },
        quick: { type: "boolean" },
        checkpoint: { type: "boolean" },
        "calling-thread": { type: "boolean" },
        wasm: { type: "boolean" },
        python: { type: "string" },
        peers: { type: "string" },
        "peer-modules": { type: "string" },
        without: { type: "string" },
        to: { type: "string" },
        from: { type: "string" },
        docs: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function count(name: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new OptionError(`--${name} is ${text}; it must be an integer of at least 1`);
}
