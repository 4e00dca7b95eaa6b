import { checkInteger } from "../base/check.js";
import { type DType, elementCount, type HostArray, hostArray } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";
import { version } from "../base/version.js";
import { ancestors } from "../graph/ancestors.js";
import type { Target } from "../graph/emitter.js";
import { input } from "../graph/leaf.js";
import { type InputType, type Model, namedVariables } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import type { Variable } from "../graph/variable.js";
import { add, mul, sub } from "../ops/arithmetic.js";
import { where } from "../ops/compare.js";
import { gradients } from "../ops/gradients.js";
import { sessionTarget } from "../runtime/devices.js";
import { emitStagedModel, type HostStage } from "../runtime/host-stages.js";
import { namedNoise, noiseInputs } from "../runtime/noise.js";
import type { Noise, SessionOptions } from "../runtime/types.js";
import { areFinite, type Clipping, clipGradients, globalNorm } from "./clipping.js";
import { checkMovingAverage, type MovingAverage } from "./moving-average.js";
import type { Objective } from "./objective.js";
import type { Optimizer } from "./optimizers.js";
import { overwritable, type Transition } from "./overwritable.js";
import { type ParameterGroup, parameterSettings } from "./parameter-groups.js";
import { type TracedObjective, traceObjective } from "./traced-objective.js";

/** What is to be trained, and how. */
export interface TrainingStepOptions {
  readonly model: Model;
  readonly objective: Objective;
  /** Shapes and dtypes of a batch's tensors. */
  readonly inputs: Readonly<Record<string, InputType>>;
  readonly optimizer: Optimizer;
  readonly groups?: readonly ParameterGroup[];
  readonly clip?: Clipping;
  /** Batches whose mean gradient makes one update of the weights; 1 by default. */
  readonly accumulate?: number;
  /** Moving average of the weights, kept beside them. */
  readonly ema?: MovingAverage;
  /** What the model is emitted for; sessions of the CPU by default. */
  readonly target?: Target;
}

/** A tensor that is kept from step to step; the names are those of checkpoints. */
export interface StateType {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The variable whose value it starts with; it starts at 0 where there is none. */
  readonly from?: Variable;
}

/**
 * A training step as one ONNX model: forward pass, loss, gradients, update of the weights, and what is kept. Where the host decides on
 * the way, models that come before it.
 */
export interface TrainingStep {
  readonly bytes: Uint8Array;
  /** What a session of it is made with, unless told otherwise. */
  readonly sessionOptions: Pick<SessionOptions, "graphOptimizationLevel">;
  /** Of all models together. */
  readonly nodeCount: number;
  /** What runs before it, each part followed by a call of the host. */
  readonly stages: readonly HostStage[];
  readonly target: Target;
  /** `param.PATH`, `buffer.PATH`, `optimizer.SLOT.PATH`, `accumulator.PATH`, `ema.PATH`. */
  readonly states: ReadonlyMap<string, StateType>;
  /** By state: the output that becomes its next value. */
  readonly next: Readonly<Record<string, string>>;
  /** States whose next value may be written over the present one. Where the loss or a gradient is not finite they stay as they are. */
  readonly overwrites: readonly string[];
  /** Model inputs that have to be fed: batch tensors, scalars, and what the host gives. */
  readonly fed: ReadonlySet<string>;
  readonly noise: readonly Noise[];
  /** Names of the metrics, which are outputs of the model. */
  readonly metrics: readonly string[];
  /** Parameters that are updated. Frozen ones are not, nor those that the loss does not depend on. */
  readonly trained: readonly string[];
  readonly traced: TracedObjective;
  /** Gradients of the trained parameters, as computed from the batch. */
  readonly gradients: ReadonlyMap<string, Tensor>;
}

/** Names of the inputs and outputs of a training step's model. */
export const stepNames = {
  batch: (name: string) => `batch:${name}`,
  scalar: (name: string) => `scalar:${name}`,
  metric: (name: string) => `metric:${name}`,
  next: (state: string) => `next:${state}`,
  loss: "loss",
  gradientNorm: "gradientNorm",
  learningRate: "scalar:learningRate",
  /** Whether the update of the weights takes place, where gradients are accumulated. */
  apply: "scalar:apply",
  averageRate: "scalar:averageRate",
} as const;

/** Names of the tensors that are kept. */
export const stateNames = {
  parameter: (path: string) => `param.${path}`,
  buffer: (path: string) => `buffer.${path}`,
  slot: (slot: string, path: string) => `optimizer.${slot}.${path}`,
  accumulator: (path: string) => `accumulator.${path}`,
  average: (path: string) => `ema.${path}`,
} as const;

/** Name of the state that holds a variable. */
export function variableState(path: string, variable: Variable): string {
  return variable.trainable ? stateNames.parameter(path) : stateNames.buffer(path);
}

/**
 * Builds a model's training step.
 * @throws OptionError, ShapeError; FoveaError for a model without parameters to train
 */
export function buildTrainingStep(options: TrainingStepOptions): TrainingStep {
  const { model, optimizer, groups = [], clip, accumulate = 1, ema, target = sessionTarget("cpu") } = options;
  checkInteger("training", "accumulate", accumulate, { min: 1 });
  if (ema) checkMovingAverage(ema);

  const traced = traceObjective(model, options.objective, options.inputs, { training: true });
  const variables = namedVariables(model);
  const trainable = new Map([...variables].filter(([, variable]) => variable.trainable));
  const settings = parameterSettings(trainable, groups, optimizer.weightDecay);
  const reached = ancestors([traced.loss]);
  const trained = [...trainable].filter(([path, p]) => !settings.get(path)!.frozen && reached.has(p));
  if (trained.length === 0) {
    throw new OptionError("there is nothing to train: the loss depends on no parameter that is not frozen");
  }
  const gradientOf = new Map(
    gradients(
      traced.loss,
      trained.map(([, parameter]) => parameter),
    ).map((gradient, index) => [trained[index]![0], gradient]),
  );

  const states = new Map<string, StateType>();
  const stateInputs = new Map<string, Tensor>();
  const results = new Map<string, Tensor>();
  /** What the optimizer changes, with its value before. */
  const updates = new Map<string, Transition>();
  const scalars = new Map<string, Tensor>();
  const scalar = (name: string, dtype: DType = "float32") => {
    const known = scalars.get(name) ?? input(name, [], dtype);
    scalars.set(name, known);
    return known;
  };
  /** Declares a state beside the variables and returns its present value. */
  const keep = (name: string, parameter: Variable, from?: Variable) => {
    const { dtype, shape } = parameter;
    states.set(name, { dtype, shape, ...(from ? { from } : {}) });
    const present = input(name, shape, dtype);
    stateInputs.set(name, present);
    return present;
  };
  for (const [path, variable] of variables) {
    const { dtype, shape } = variable;
    states.set(variableState(path, variable), { dtype, shape, from: variable });
  }
  const pathOf = new Map([...variables].map(([path, variable]) => [variable, path]));
  for (const [variable, value] of traced.graph.updates) {
    results.set(stateNames.buffer(pathOf.get(variable)!), value);
  }

  const update = (state: string, present: Tensor, next: Tensor) => {
    results.set(state, next);
    updates.set(state, { present, next });
  };
  const apply = accumulate > 1 ? scalar(stepNames.apply, "bool") : undefined;
  const gated = (fresh: Tensor, old: Tensor) => (apply ? where(apply, fresh, old) : fresh);
  const sums = trained.map(([path, parameter]) => {
    const gradient = gradientOf.get(path)!;
    if (!apply) return gradient;
    const name = stateNames.accumulator(path);
    const sum = add(keep(name, parameter), mul(gradient, 1 / accumulate));
    results.set(name, where(apply, 0, sum));
    return sum;
  });
  const norm = globalNorm(sums);
  const clipped = clip ? clipGradients(sums, norm, clip) : sums;
  const ownScalars = Object.fromEntries(
    Object.keys(optimizer.scalars(0)).map((name) => [name, scalar(stepNames.scalar(name))]),
  );
  for (const [index, [path, parameter]] of trained.entries()) {
    const { weightDecay, learningRateScale } = settings.get(path)!;
    const rate = scalar(stepNames.learningRate);
    const slots = Object.fromEntries(
      optimizer.slots.map((slot) => [slot, keep(stateNames.slot(slot, path), parameter)]),
    );
    const updated = optimizer.update({
      parameter,
      gradient: clipped[index]!,
      slots,
      learningRate: learningRateScale === 1 ? rate : mul(rate, learningRateScale),
      weightDecay,
      scalars: ownScalars,
    });
    const next = gated(updated.parameter, parameter);
    update(stateNames.parameter(path), parameter, next);
    for (const [slot, present] of Object.entries(slots)) {
      update(stateNames.slot(slot, path), present, gated(updated.slots[slot]!, present));
    }
    if (!ema) continue;
    const average = keep(stateNames.average(path), parameter, parameter);
    const change = mul(sub(next, average), scalar(stepNames.averageRate));
    update(stateNames.average(path), average, add(average, change));
  }

  // On the CPU the step itself keeps what must not be lost, so that states need no second place.
  const transitions = target.kind === "cpu" ? updates : new Map<string, Transition>();
  const apart = [...results].filter(([state]) => !transitions.has(state)).map(([, tensor]) => tensor);
  const overwrites = overwritable(transitions, [traced.loss, norm, ...traced.metrics.values(), ...apart]);
  const guard = {
    condition: areFinite([traced.loss, norm]),
    otherwise: new Map(
      [...overwrites].map((state) => [stepNames.next(state), transitions.get(state)!.present]),
    ),
  };

  const emitted = emitStagedModel(
    {
      target,
      inputs: new Map([...batchInputs(traced), ...namedNoise(traced.graph), ...scalars, ...stateInputs]),
      variables: new Map([...variables].map(([path, variable]) => [variableState(path, variable), variable])),
      variablesAs: "inputs",
      outputs: new Map([
        [stepNames.loss, traced.loss],
        [stepNames.gradientNorm, norm],
        ...[...traced.metrics].map(([name, tensor]) => [stepNames.metric(name), tensor] as const),
        ...[...results].map(([state, tensor]) => [stepNames.next(state), tensor] as const),
      ]),
      ...(overwrites.size > 0 ? { guard } : {}),
      producerVersion: version,
    },
    traced.graph,
  );
  const used = new Set(emitted.usedInputs);
  return {
    bytes: emitted.bytes,
    // What is emitted for the CPU is arranged already: ONNX Runtime's rewriting takes as long as all other loading and saves no time.
    sessionOptions: target.kind === "cpu" ? { graphOptimizationLevel: "disabled" } : {},
    nodeCount: emitted.nodeCount,
    stages: emitted.stages,
    target,
    states,
    next: Object.fromEntries([...results.keys()].map((state) => [state, stepNames.next(state)])),
    overwrites: [...overwrites],
    fed: new Set(
      [...batchInputs(traced).keys(), ...scalars.keys(), ...hostInputs(emitted.stages).keys()].filter(
        (name) => used.has(name),
      ),
    ),
    noise: noiseInputs(traced.graph, used),
    metrics: [...traced.metrics.keys()],
    trained: trained.map(([path]) => path),
    traced,
    gradients: gradientOf,
  };
}

/** The batch's tensors under their names in the model. */
export function batchInputs({ graph }: TracedObjective): Map<string, Tensor> {
  return new Map([...graph.inputs].map(([name, tensor]) => [stepNames.batch(name), tensor]));
}

/** What the host gives, under its names in the models. */
export function hostInputs(stages: readonly HostStage[]): Map<string, Tensor> {
  return new Map(
    stages.flatMap(({ call, results }) =>
      [...results].map(([name, inputName]) => [inputName, call.results.get(name)!] as const),
    ),
  );
}

/** The value that a state starts with. */
export function initialValue({ dtype, shape, from }: StateType): HostArray {
  return from ? from.value : hostArray(dtype, elementCount(shape));
}
