import { checkNumber } from "../base/check.js";
import { OptionError } from "../base/errors.js";
import type { Tensor } from "../graph/tensor.js";
import { add, div, mul, sqrt, square, sub } from "../ops/arithmetic.js";

/** What an optimizer sees of one parameter. */
export interface Update {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  /** Present values of the slots, by name, shaped like the parameter. */
  readonly slots: Readonly<Record<string, Tensor>>;
  /** Learning rate of the parameter's group, a scalar. */
  readonly learningRate: Tensor;
  /** Weight decay of the parameter's group. */
  readonly weightDecay: number;
  /** The optimizer's scalars, by name. */
  readonly scalars: Readonly<Record<string, Tensor>>;
}

/** New values of a parameter and its slots. */
export interface Updated {
  readonly parameter: Tensor;
  readonly slots: Readonly<Record<string, Tensor>>;
}

/** An optimizer in one literal: what it keeps per parameter, what it needs per update, and the update as graph. */
export interface Optimizer {
  readonly name: string;
  /** Names of the tensors that it keeps per parameter; they start at 0. */
  readonly slots: readonly string[];
  /** Weight decay of parameters whose group names none. */
  readonly weightDecay: number;
  /** Values of its scalars at an update, counted from 0. */
  scalars(update: number): Readonly<Record<string, number>>;
  update(context: Update): Updated;
}

/** Options of `sgd`. */
export interface SgdOptions {
  /** Share of the last change that is kept; 0 by default. */
  readonly momentum?: number;
  /** Takes the gradient at the point to which the momentum leads; false by default. */
  readonly nesterov?: boolean;
  /** Share of the gradient that does not enter the momentum, from the second update on; 0 by default. */
  readonly dampening?: number;
  /** L2 penalty, added to the gradient; 0 by default. */
  readonly weightDecay?: number;
}

/**
 * Stochastic gradient descent, as in PyTorch: g += d p; m = momentum m + (1 - dampening) g, at first m = g; p -= r m, with Nesterov
 * p -= r (g + momentum m). Sutskever et al.: On the importance of initialization and momentum, ICML 2013.
 * @throws OptionError
 */
export function sgd(options: SgdOptions = {}): Optimizer {
  const { momentum = 0, nesterov = false, dampening = 0, weightDecay = 0 } = options;
  checkNumber("sgd", "momentum", momentum, { min: 0 });
  checkNumber("sgd", "dampening", dampening);
  checkNumber("sgd", "weightDecay", weightDecay, { min: 0 });
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new OptionError(
      `sgd: nesterov with momentum ${momentum} and dampening ${dampening}; it needs a momentum and no dampening`,
    );
  }
  return {
    name: "sgd",
    slots: momentum === 0 ? [] : ["momentum"],
    weightDecay,
    scalars: (update): Record<string, number> =>
      momentum === 0 || dampening === 0 ? {} : { gradientShare: update === 0 ? 1 : 1 - dampening },
    update: ({ parameter, gradient, slots, learningRate, weightDecay, scalars }) => {
      const penalized = weightDecay === 0 ? gradient : add(gradient, mul(parameter, weightDecay));
      if (momentum === 0) return { parameter: sub(parameter, mul(penalized, learningRate)), slots: {} };
      const fresh = scalars.gradientShare ? mul(penalized, scalars.gradientShare) : penalized;
      const velocity = add(mul(slots.momentum!, momentum), fresh);
      const direction = nesterov ? add(penalized, mul(velocity, momentum)) : velocity;
      return {
        parameter: sub(parameter, mul(direction, learningRate)),
        slots: { momentum: velocity },
      };
    },
  };
}

/** Options of `adamW`. */
export interface AdamWOptions {
  /** Decay of the gradient's average; 0.9 by default. */
  readonly beta1?: number;
  /** Decay of the squared gradient's average; 0.999 by default. */
  readonly beta2?: number;
  /** Added to the root of the squared gradient's average; 1e-8 by default. */
  readonly epsilon?: number;
  /** Share of the weights, times the learning rate, that each update takes away; 0.01 by default. */
  readonly weightDecay?: number;
}

/**
 * Adam with decoupled weight decay and bias correction, as in PyTorch.
 * Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019, arXiv:1711.05101, algorithm 2.
 * @throws OptionError
 */
export function adamW(options: AdamWOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 } = options;
  for (const [name, beta] of Object.entries({ beta1, beta2 })) {
    checkNumber("adamW", name, beta, { min: 0 });
    if (beta >= 1) throw new OptionError(`adamW: ${name} is ${beta}; it must be below 1`);
  }
  checkNumber("adamW", "epsilon", epsilon, { min: 0 });
  checkNumber("adamW", "weightDecay", weightDecay, { min: 0 });
  return {
    name: "adamW",
    slots: ["firstMoment", "secondMoment"],
    weightDecay,
    scalars: (update) => ({
      firstCorrection: 1 / (1 - beta1 ** (update + 1)),
      secondCorrection: 1 / Math.sqrt(1 - beta2 ** (update + 1)),
    }),
    update: ({ parameter, gradient, slots, learningRate, weightDecay, scalars }) => {
      const firstMoment = add(mul(slots.firstMoment!, beta1), mul(gradient, 1 - beta1));
      const secondMoment = add(mul(slots.secondMoment!, beta2), mul(square(gradient), 1 - beta2));
      const spread = add(mul(sqrt(secondMoment), scalars.secondCorrection!), epsilon);
      const change = mul(div(firstMoment, spread), mul(learningRate, scalars.firstCorrection!));
      const decayed =
        weightDecay === 0 ? parameter : sub(parameter, mul(parameter, mul(learningRate, weightDecay)));
      return { parameter: sub(decayed, change), slots: { firstMoment, secondMoment } };
    },
  };
}
