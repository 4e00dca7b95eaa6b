import { fileURLToPath } from "node:url";
import { OptionError } from "../../src/base/errors.js";
import { matchesPattern } from "../../src/base/pattern.js";
import { didYouMean } from "../../src/base/suggestion.js";
import type { Command } from "./contestant-process.js";
import type { RowOf } from "./rows.js";
import type { NetworkWork } from "./work.js";

/** A contestant and how it is started. */
export interface ContestantChoice {
  readonly name: string;
  readonly command: Command;
  /** Why it does not take part in a row; undefined where it does. */
  readonly refuses?: (row: Pick<RowOf<NetworkWork>, "id" | "work">) => string | undefined;
  /** Whether it computes outside its process, whose memory then says nothing. */
  readonly elsewhere?: boolean;
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const loader = new URL("../../scripts/typescript.mjs", import.meta.url).href;

function typescript(...args: string[]): Command {
  return {
    file: process.execPath,
    args: ["--expose-gc", "--import", loader, file("../contestant.ts"), ...args],
  };
}

/** The contestant that all others are compared with. */
export const ours: ContestantChoice = { name: "fovea", command: typescript("fovea") };

/** Ours with blocks that are computed again in the backward pass. */
export const checkpointing: ContestantChoice = {
  name: "fovea, checkpointed",
  command: typescript("checkpointed"),
  refuses: ({ work }) => (work.pass === "inference" ? "there is no backward pass" : undefined),
};

/** Ours without the worker: as the others, it computes on the thread that calls. */
export const onCallingThread: ContestantChoice = {
  name: "fovea, calling thread",
  command: typescript("calling-thread"),
  refuses: ({ work }) => (work.pass === "training" ? "measured for inference alone" : undefined),
};

/** Who else takes part. */
export interface PeerOptions {
  readonly threads: number;
  /** fovea with blocks that are computed again in the backward pass. */
  readonly checkpoint: boolean;
  /** fovea's inference on the thread that calls. */
  readonly callingThread: boolean;
  /** fovea on WebAssembly, in headless Chromium. */
  readonly wasm: boolean;
  /** A Python with torch. */
  readonly python?: string | undefined;
  /** Libraries in JavaScript, with commas between them. */
  readonly peers?: string | undefined;
  /** The folder in which these are installed. */
  readonly peerModules: string;
  /** Patterns of contestants that are left out, with commas between them: of all rows, or of those before a colon. */
  readonly without?: string | undefined;
}

/** Batch up to which the libraries in JavaScript are measured: they need seconds for more. */
const largestPeerBatch = 4;

const onlySmall = ({ work: { network, shape } }: { readonly work: NetworkWork }) =>
  network === "se-resnet-20" && shape[0] <= largestPeerBatch
    ? undefined
    : `measured on SE-ResNet-20 with batch ${largestPeerBatch} alone`;

const javascriptPeers: Readonly<Record<string, string>> = { tfjs: "TensorFlow.js", "jax-js": "jax-js" };

/** The contestants beside ours. @throws OptionError for an unknown library, or a pattern that leaves none out */
export function choosePeers(options: PeerOptions): ContestantChoice[] {
  const named = namedPeers(options);
  const patterns = listed(options.without).map(exclusion);
  const fits = ({ name }: ContestantChoice, { contestants }: Exclusion) =>
    matchesPattern(name, contestants, { ignoreCase: true });
  const idle = patterns.find((pattern) => !named.some((choice) => fits(choice, pattern)));
  if (idle !== undefined) {
    const names = named.map(({ name }) => `"${name}"`).join(", ") || "none";
    throw new OptionError(`--without: no contestant fits "${idle.contestants}"; they are ${names}`);
  }
  return named.flatMap((choice) => {
    const fitting = patterns.filter((pattern) => fits(choice, pattern));
    const rows = fitting.flatMap(({ rows }) => (rows === undefined ? [] : [rows]));
    return rows.length < fitting.length ? [] : [withoutRows(choice, rows)];
  });
}

/** Contestants that are left out: of rows that fit a pattern, or of all. */
interface Exclusion {
  readonly rows: string | undefined;
  readonly contestants: string;
}

function exclusion(text: string): Exclusion {
  const colon = text.indexOf(":");
  return colon < 0
    ? { rows: undefined, contestants: text }
    : { rows: text.slice(0, colon), contestants: text.slice(colon + 1) };
}

function withoutRows(choice: ContestantChoice, patterns: readonly string[]): ContestantChoice {
  if (patterns.length === 0) return choice;
  const leftOut = (id: string) => patterns.some((pattern) => matchesPattern(id, pattern));
  return {
    ...choice,
    refuses: (row) => (leftOut(row.id) ? "left out by --without" : choice.refuses?.(row)),
  };
}

function listed(text: string | undefined): string[] {
  return text === undefined ? [] : text.split(",").map((part) => part.trim());
}

function namedPeers({
  threads,
  checkpoint,
  callingThread,
  wasm,
  python,
  peers,
  peerModules,
}: PeerOptions): ContestantChoice[] {
  const chosen: ContestantChoice[] = [];
  if (checkpoint) chosen.push(checkpointing);
  if (callingThread) chosen.push(onCallingThread);
  if (wasm) chosen.push({ name: "fovea, WebAssembly", command: typescript("wasm"), elsewhere: true });
  if (python !== undefined) chosen.push(...pytorch(python, threads));
  for (const name of listed(peers)) {
    const title = javascriptPeers[name];
    if (title === undefined) {
      throw new OptionError(
        `--peers: no library "${name}"; ${didYouMean(name, Object.keys(javascriptPeers))}`,
      );
    }
    chosen.push({ name: title, command: typescript(name, peerModules), refuses: onlySmall });
  }
  return chosen;
}

function pytorch(python: string, threads: number): ContestantChoice[] {
  const env = {
    OMP_NUM_THREADS: String(threads),
    MKL_NUM_THREADS: String(threads),
    // No compiled files beside the scripts.
    PYTHONDONTWRITEBYTECODE: "1",
  };
  const mode = (name: string, argument: string): ContestantChoice => ({
    name,
    command: { file: python, args: [file("../pytorch/contestant.py"), argument], env },
  });
  return [
    mode("PyTorch", "eager"),
    mode("PyTorch, channels last", "channels-last"),
    mode("PyTorch, torch.compile", "compile"),
    {
      name: "ONNX Runtime, PyTorch's export",
      command: { ...typescript("export", python), env },
      refuses: ({ work }) => (work.pass === "training" ? "PyTorch exports no training step" : undefined),
    },
  ];
}
