import type { NetworkName } from "./networks.js";

/** A network's forward pass in evaluation mode, or one step of training: cross-entropy, gradients, SGD with momentum. */
export interface NetworkWork {
  readonly kind: "network";
  readonly network: NetworkName;
  readonly pass: "inference" | "training";
  /** [N, C, H, W] */
  readonly shape: readonly [number, number, number, number];
}

/** A mechanism's forward pass, or that and the gradients of its inputs and parameters. */
export interface MechanismWork {
  readonly kind: "mechanism";
  readonly mechanism: string;
  readonly pass: "forward" | "gradients";
  /** [N, C, H, W] of mechanisms that take an image. */
  readonly image: readonly [number, number, number, number];
}

/** What rooflines are drawn from: products of square matrices, or copies of a tensor, of so many elements. */
export interface ReferenceWork {
  readonly kind: "reference";
  readonly measure: "product" | "copy";
  readonly elements: number;
}

/** Everything from a network's class to a training step that can run. */
export interface BuildWork {
  readonly kind: "build";
  readonly network: NetworkName;
  readonly shape: readonly [number, number, number, number];
}

/** What a contestant is asked to do over and over. */
export type Work = NetworkWork | MechanismWork | ReferenceWork | BuildWork;
