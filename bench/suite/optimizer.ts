/**
 * SGD as in the papers of the networks. The learning rate is so low that the weights stay what they are, whatever the number of steps;
 * the work of a step does not depend on it.
 */
export const optimizer = { momentum: 0.9, weightDecay: 5e-4, learningRate: 1e-9 } as const;
