/** From which sizes on attention takes another form, in elements of a sample's tensors. */
export interface AttentionLimits {
  /** Elements of one map from which on no plain form is used where another fits. */
  readonly mapFrom: number;
  /** Elements of one map from which on projections are part of the operator of their attention. */
  readonly projectedFrom: number;
  /** How many times as large as queries, keys, values and results a map may be to be made although a form without it fits. */
  readonly mapRatio: number;
  /** Elements of the maps that one fused operator computes. */
  readonly fusedElements: number;
  /** Elements of an intermediate that are held at a time where it is computed in blocks of rows. */
  readonly blockElements: number;
  /** How many times larger than the result an intermediate must be to be computed in blocks. */
  readonly leastRatio: number;
}

export const attentionLimits: AttentionLimits = {
  // On smaller maps no difference was measured, and the graph stays as it is written.
  mapFrom: 128 * 128,
  projectedFrom: 32 * 32,
  // With one head of 64 columns on two cores: 0.9 of the time of the form without the map at 196 positions, 1.4 at 784.
  mapRatio: 2,
  // 64 MiB: what the fused operator holds where ONNX Runtime has no kernel without the map (WebAssembly, caches of unknown size).
  fusedElements: 2 ** 24,
  // 16 MiB: the time does not depend on it much, the number of nodes does.
  blockElements: 2 ** 22,
  // A map over positions is; the hidden layer of a perceptron, which is read row by row too, is not.
  leastRatio: 8,
};
