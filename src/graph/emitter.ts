import type { HostTensor } from "../base/dtype.js";

/** Value of an ONNX attribute, tagged with its ONNX type. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly ints: readonly number[] }
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly string: string };

export type OnnxAttributes = Readonly<Record<string, OnnxAttribute>>;

/** What the emitted model is for; operators may choose another form for it. */
export interface Target {
  /** `portable`: standard operators only. `cpu`, `webgpu`: for a session of that execution provider. */
  readonly kind: "portable" | "cpu" | "webgpu";
  /** Version of the default ONNX operator set. */
  readonly opset: number;
  /**
   * Channels in a block of the layout that ONNX Runtime's convolutions on this machine are fastest in. Absent where there is none, and
   * where ONNX Runtime does as well by itself: it chooses that layout for constant filters. Operators that use it make a model of this
   * machine alone.
   */
  readonly channelBlock?: number;
}

/** Receives the ONNX nodes that an operator becomes. Values are named by strings. */
export interface Emitter {
  readonly target: Target;
  /** Adds a node of one output and returns the name of that output. */
  node(opType: string, inputs: readonly string[], attributes?: OnnxAttributes, domain?: string): string;
  /** Adds a node of several outputs and returns their names. */
  nodes(
    opType: string,
    inputs: readonly string[],
    outputs: number,
    attributes?: OnnxAttributes,
    domain?: string,
  ): string[];
  /** Another form of a value that a node has made already, such as its `blocks`. */
  form(value: string, kind: string): string | undefined;
  /** Notes another form of a value. */
  addForm(value: string, kind: string, other: string): void;
  /** What a value holds in every run; undefined where runs decide. */
  value(name: string): HostTensor | undefined;
  /** Adds an initializer, or finds an equal one, and returns its name. */
  constant(tensor: HostTensor): string;
  /** The same for the sizes that a value gets, which a model may keep from ONNX Runtime's planner. */
  sizes(values: readonly number[]): string;
}
