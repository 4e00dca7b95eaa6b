import type { optimizer } from "./optimizer.js";
import type { Work } from "./work.js";

/**
 * How the benchmark talks with a contestant, which is a process of its own, in Python or JavaScript: it reads a request a line of
 * standard input and answers a line of standard output that begins with `answerMark`; other lines are its own affair. The first answer
 * comes unasked. Times are taken inside the contestant, so the pipe costs nothing.
 */
export const answerMark = "@answer ";

/** Where the tensors of a network's work lie: safetensors files; weights have PyTorch's names. */
export interface WorkFiles {
  readonly weights: string;
  /** `x`, and for training `y`. */
  readonly inputs: string;
  /** The contestant writes `y` here, what the first call made. */
  readonly results: string;
}

/** What a contestant is asked. */
export type Request =
  | {
      readonly do: "prepare";
      readonly id: number;
      readonly work: Work;
      readonly threads: number;
      readonly optimizer: typeof optimizer;
      /** For the work of a network. */
      readonly files?: WorkFiles;
    }
  | { readonly do: "run"; readonly id: number; readonly calls: number }
  | { readonly do: "close"; readonly id: number };

/** The first answer of a contestant. */
export interface Greeting {
  /** Of what it is made of. */
  readonly versions: Readonly<Record<string, string>>;
}

/** The answer to `prepare`: the work has been done once. */
export interface Prepared {
  /** Milliseconds until the first result, from the network's class or code on; files and libraries are read before. */
  readonly first: number;
  /** What the first step of training found. */
  readonly loss?: number;
  /** Norm of all gradients of that step. */
  readonly gradientNorm?: number;
  /** Floating-point operations of products and convolutions in a call, two per multiply-accumulate. */
  readonly operations?: number;
  /** Bytes that a call has to move between memory and processor, whatever the algorithm. */
  readonly bytes?: number;
  /** Nodes of the model that runs. */
  readonly nodes?: number;
  /** What the work is done on, where its title does not say it: `x [8, 256, 28, 28]`. */
  readonly input?: string;
}

/** The answer to `run`. */
export interface Run {
  /** Of one call, the mean of all. */
  readonly milliseconds: number;
  /** Parts of the last call, by name. */
  readonly parts?: Readonly<Record<string, number>>;
}
