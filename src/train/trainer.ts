import { checkInteger } from "../base/check.js";
import type { HostTensor } from "../base/dtype.js";
import { FormatError, FoveaError, OptionError } from "../base/errors.js";
import { initialize, namedVariables } from "../graph/model.js";
import { compareTensorKeys, requireFit } from "../nn/tensor-keys.js";
import { type DeviceChoice, sessionTarget } from "../runtime/devices.js";
import { endProfiling } from "../runtime/end-profiling.js";
import { HostStageSessions } from "../runtime/host-stages.js";
import { mergePlacements } from "../runtime/profile-placement.js";
import { defaultRuntime } from "../runtime/provider.js";
import type { Placement, Runtime, Session, SessionOptions, StateStore } from "../runtime/types.js";
import { checkLabels, sampleCount, type TrainingBatch } from "./data.js";
import { buildDiagnostics } from "./diagnostics.js";
import { NonFiniteError, type NonFiniteKind, type NonFiniteValue } from "./errors.js";
import { movingAverageRate } from "./moving-average.js";
import { constantRate, type Schedule } from "./schedules.js";
import {
  buildTrainingStep,
  initialValue,
  stateNames,
  stepNames,
  type TrainingStep,
  type TrainingStepOptions,
  variableState,
} from "./training-step.js";

/** Options of a trainer. */
export interface TrainerOptions extends TrainingStepOptions {
  /** Learning rate of each update, or the same for all. */
  readonly schedule: Schedule | number;
  /** Steps of the whole run, which the schedule may depend on. */
  readonly totalSteps?: number;
  /** Seed of the initial weights that have no value yet, and of dropout; 0 by default. */
  readonly seed?: number;
  readonly session?: SessionOptions;
  readonly runtime?: Runtime;
}

/** What a step found before its update. */
export interface StepResult {
  readonly loss: number;
  /** Per sample of the batch. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Learning rate of the update. */
  readonly learningRate: number;
  /** Norm of the whole gradient before clipping; of what is accumulated so far where gradients are accumulated. */
  readonly gradientNorm: number;
}

/**
 * Trains a model step by step. Parameters, buffers and optimizer state live beside the session; of a step only its loss and metrics
 * come back. The model's own variables change with `syncToModel` alone.
 */
export class Trainer {
  /** The step as one ONNX model. */
  readonly definition: TrainingStep;
  readonly #options: TrainerOptions;
  readonly #schedule: Schedule;
  readonly #runtime: Runtime;
  readonly #session: Session;
  /** What runs before the session, where the host decides in between. */
  readonly #hostStages: HostStageSessions;
  readonly #state: StateStore;
  #stepIndex = 0;
  #running = false;

  private constructor(
    options: TrainerOptions,
    parts: {
      definition: TrainingStep;
      runtime: Runtime;
      session: Session;
      hostStages: HostStageSessions;
      state: StateStore;
    },
  ) {
    this.definition = parts.definition;
    this.#options = options;
    const { schedule } = options;
    this.#schedule = typeof schedule === "number" ? constantRate(schedule) : schedule;
    this.#runtime = parts.runtime;
    this.#session = parts.session;
    this.#hostStages = parts.hostStages;
    this.#state = parts.state;
  }

  /**
   * Builds the step and loads it. Variables without a value get their initial one.
   * @throws OptionError, ShapeError, DeviceError
   */
  static async create(options: TrainerOptions): Promise<Trainer> {
    const { model, seed = 0, runtime = defaultRuntime(), session: sessionOptions } = options;
    checkInteger("training", "seed", seed);
    if (options.totalSteps !== undefined) checkInteger("training", "totalSteps", options.totalSteps);
    initialize(model, { seed });
    const { device } = await runtime.resolveDevice(sessionOptions?.device);
    const target = sessionTarget(device, await runtime.channelBlock(device));
    const definition = buildTrainingStep({ target, ...options });
    const session = await runtime.createSession(definition.bytes, {
      name: "training step",
      ...definition.sessionOptions,
      ...sessionOptions,
      deviceOutputs: Object.values(definition.next),
    });
    let hostStages: HostStageSessions | undefined;
    try {
      hostStages = await HostStageSessions.create(definition.stages, runtime, {
        name: "part of a training step",
        ...sessionOptions,
      });
      const state = await runtime.createState(
        Object.fromEntries(
          [...definition.states].map(([name, type]) => [
            name,
            { dtype: type.dtype, shape: type.shape, data: initialValue(type) },
          ]),
        ),
      );
      return new Trainer(options, { definition, runtime, session, hostStages, state });
    } catch (error) {
      await session.close();
      await hostStages?.close();
      throw error;
    }
  }

  /** The device that was really taken, and why. */
  get placedOn(): DeviceChoice {
    return this.#session.placedOn;
  }

  /** Where the nodes of the step ran. @throws DeviceError where `session.placement` was not asked for, or before the first step */
  async placement(): Promise<Placement> {
    return mergePlacements([...(await this.#hostStages.placements()), await this.#session.placement()]);
  }

  /** Ends the profile that `session.profile` asked for and returns the path of its file. @throws DeviceError where there is none */
  async endProfiling(): Promise<string> {
    return endProfiling(this.#session);
  }

  /** Threads of the session. */
  get threads(): number {
    return this.#session.threads;
  }

  /** Number of steps completed, which is the number of the next one. */
  get stepIndex(): number {
    return this.#stepIndex;
  }

  /** Learning rate of the update that a step belongs to. */
  learningRate(stepIndex: number): number {
    const { accumulate = 1, totalSteps = Number.POSITIVE_INFINITY } = this.#options;
    return this.#schedule(
      Math.floor(stepIndex / accumulate),
      Math.max(Math.floor(totalSteps / accumulate), 1),
    );
  }

  /**
   * Trains on a batch.
   * @throws NonFiniteError where the loss or a gradient is not finite: the state is that before the step, and can be trained on
   * @throws OptionError, ShapeError, DataError for a batch that does not fit; DeviceError
   */
  async step(batch: TrainingBatch): Promise<StepResult> {
    if (this.#running) throw new FoveaError("the step before has not ended: await it");
    this.#running = true;
    try {
      return await this.#step(batch);
    } finally {
      this.#running = false;
    }
  }

  async #step(batch: TrainingBatch): Promise<StepResult> {
    const { definition } = this;
    this.#checkBatch(batch);
    const learningRate = this.learningRate(this.#stepIndex);
    const keys = { seed: this.#options.seed ?? 0, step: this.#stepIndex };
    const feeds = { ...batchFeeds(batch), ...this.#scalars(learningRate) };
    const fromHost = await this.#hostStages.run(this.#state, { feeds, ...keys });
    const results = await this.#session.step(this.#state, {
      feeds: used({ ...feeds, ...fromHost }, definition.fed),
      fetches: [stepNames.loss, stepNames.gradientNorm, ...definition.metrics.map(stepNames.metric)],
      next: definition.next,
      overwrites: definition.overwrites,
      noise: definition.noise,
      ...keys,
    });
    const value = (name: string) => Number(results[name]!.data[0]);
    const loss = value(stepNames.loss);
    const gradientNorm = value(stepNames.gradientNorm);
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm)) {
      await this.#state.revert();
      throw new NonFiniteError(this.#stepIndex, await this.#diagnose(batch, fromHost), {
        loss,
        gradientNorm,
      });
    }
    this.#stepIndex++;
    const samples = sampleCount(batch);
    const metrics = definition.metrics.map(
      (name) => [name, value(stepNames.metric(name)) / samples] as const,
    );
    return { loss, metrics: Object.fromEntries(metrics), learningRate, gradientNorm };
  }

  #checkBatch(batch: TrainingBatch): void {
    const expected = [...this.definition.traced.graph.inputs.keys()];
    const given = Object.keys(batch);
    if (expected.some((name) => !given.includes(name)) || given.length !== expected.length) {
      throw new OptionError(
        `a batch must hold ${expected.join(", ")}; found ${given.join(", ") || "nothing"}`,
      );
    }
    const { classification } = this.definition.traced;
    if (classification) checkLabels(batch, classification.labels, classification.classes);
  }

  /** The step's scalar inputs. */
  #scalars(learningRate: number): Record<string, HostTensor> {
    const { optimizer, accumulate = 1, ema } = this.#options;
    const update = Math.floor(this.#stepIndex / accumulate);
    const applies = (this.#stepIndex + 1) % accumulate === 0;
    const values: Record<string, HostTensor> = {
      [stepNames.learningRate]: float(learningRate),
      [stepNames.apply]: { dtype: "bool", shape: [], data: Uint8Array.of(applies ? 1 : 0) },
    };
    if (ema) {
      values[stepNames.averageRate] = float(applies ? movingAverageRate(ema, update) : 0);
    }
    for (const [name, value] of Object.entries(optimizer.scalars(update))) {
      values[stepNames.scalar(name)] = float(value);
    }
    return values;
  }

  /** The first value of a step over the present state that is not finite. */
  async #diagnose(
    batch: TrainingBatch,
    fromHost: Readonly<Record<string, HostTensor>>,
  ): Promise<NonFiniteValue> {
    for (const [path, tensor] of Object.entries(batch)) {
      if (!isFiniteTensor(tensor)) return { kind: "input", path };
    }
    for (const [name, tensor] of Object.entries(await this.#state.read())) {
      if (!isFiniteTensor(tensor)) return stateValue(name);
    }
    const { bytes, fed, noise, suspects } = buildDiagnostics(this.definition);
    const session = await this.#runtime.createSession(bytes, {
      ...this.#options.session,
      name: "diagnosis of a training step",
    });
    try {
      const results = await session.step(this.#state, {
        feeds: used({ ...batchFeeds(batch), ...fromHost }, fed),
        fetches: suspects.map(({ output }) => output),
        next: {},
        noise,
        seed: this.#options.seed ?? 0,
        step: this.#stepIndex,
      });
      const found = suspects.find(({ output }) => !isFiniteTensor(results[output]!));
      return found?.value ?? { kind: "gradientNorm", path: "" };
    } finally {
      await session.close();
    }
  }

  /** Copies of everything that is kept from step to step, under the names that checkpoints use. */
  async state(): Promise<Map<string, HostTensor>> {
    return new Map(Object.entries(await this.#state.read()));
  }

  /**
   * Goes on from a state after so many steps.
   * @throws FormatError that names missing, unused and mis-shaped tensors; nothing is changed then
   */
  async load(state: ReadonlyMap<string, HostTensor>, stepIndex: number): Promise<void> {
    checkInteger("training", "stepIndex", stepIndex);
    requireFit("the state", compareTensorKeys(state, this.definition.states));
    for (const [name, tensor] of state) {
      if (!isFiniteTensor(tensor)) throw new FormatError(`the state: ${name} has values that are not finite`);
    }
    await this.#state.write(Object.fromEntries(state));
    this.#stepIndex = stepIndex;
  }

  /**
   * Gives the model's variables their trained values.
   * @param options.ema takes the moving average of the parameters where one is kept; true by default
   */
  async syncToModel({ ema = true }: { readonly ema?: boolean } = {}): Promise<void> {
    const sources = [...namedVariables(this.#options.model)].map(([path, variable]) => {
      const average = stateNames.average(path);
      const averaged = ema && this.definition.states.has(average);
      return { variable, state: averaged ? average : variableState(path, variable) };
    });
    const values = await this.#state.read(sources.map(({ state }) => state));
    for (const { variable, state } of sources) variable.value = values[state]!.data;
  }

  /** Releases the session and the state; again is fine. */
  async close(): Promise<void> {
    await this.#session.close();
    await this.#hostStages.close();
    await this.#state.close();
  }
}

function float(value: number): HostTensor {
  return { dtype: "float32", shape: [], data: Float32Array.of(value) };
}

/** A batch's tensors under the names of the model's inputs. */
function batchFeeds(batch: TrainingBatch): Record<string, HostTensor> {
  return Object.fromEntries(Object.entries(batch).map(([name, tensor]) => [stepNames.batch(name), tensor]));
}

/** Those of the feeds that a model takes. */
function used(
  feeds: Readonly<Record<string, HostTensor>>,
  fed: ReadonlySet<string>,
): Record<string, HostTensor> {
  return Object.fromEntries(Object.entries(feeds).filter(([name]) => fed.has(name)));
}

function isFiniteTensor({ dtype, data }: HostTensor): boolean {
  return dtype !== "float32" || (data as Float32Array).every(Number.isFinite);
}

const stateKinds: Readonly<Record<string, NonFiniteKind>> = {
  param: "parameter",
  buffer: "buffer",
  optimizer: "optimizer",
  accumulator: "accumulator",
  ema: "average",
};

function stateValue(state: string): NonFiniteValue {
  const end = state.indexOf(".");
  return { kind: stateKinds[state.slice(0, end)]!, path: state.slice(end + 1) };
}
