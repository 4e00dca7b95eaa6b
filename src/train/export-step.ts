import type { DType, HostTensor } from "../base/dtype.js";
import { OptionError } from "../base/errors.js";
import type { Distribution } from "../base/noise.js";
import { initialize } from "../graph/model.js";
import { decodeModel, type OnnxValueInfo } from "../onnx/decoder.js";
import { checkExportOpset, defaultExportOpset } from "../onnx/export.js";
import {
  buildTrainingStep,
  initialValue,
  stepNames,
  type TrainingStep,
  type TrainingStepOptions,
} from "./training-step.js";

/** An input of an exported training step. */
export interface StepInput {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /**
   * `batch`: the samples. `state`: what the step before put out, at first the initial value. `scalar`: the learning rate and what the
   * optimizer needs besides. `noise`: fresh random numbers.
   */
  readonly role: "batch" | "state" | "scalar" | "noise";
  /** How noise is distributed. */
  readonly distribution?: Distribution;
  /** Name of the noise's random stream. */
  readonly stream?: string;
}

/** An output of an exported training step. */
export interface StepOutput {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** `state`: what is fed at the next step. `metric`: a sum over the samples. */
  readonly role: "loss" | "metric" | "gradient-norm" | "state";
  /** The input that a state belongs to. */
  readonly feeds?: string;
}

/** A training step for any program that runs ONNX. */
export interface ExportedStep {
  readonly bytes: Uint8Array;
  readonly nodeCount: number;
  readonly inputs: readonly StepInput[];
  readonly outputs: readonly StepOutput[];
  /** First values of the `state` inputs, by name. */
  readonly initial: ReadonlyMap<string, HostTensor>;
}

/** Options of `exportTrainingStep`. */
export interface ExportStepOptions extends Omit<TrainingStepOptions, "target"> {
  /** Version of the default operator set, 18 to 21; 20 by default. */
  readonly opset?: number;
  /** Seed of the initial weights that have no value yet; 0 by default. */
  readonly seed?: number;
}

/**
 * A whole training step (forward pass, loss, gradients, optimizer) as one model of standard operators with a fixed batch: feed the batch,
 * the scalars and the states, and feed each output of role `state` to the input that it names at the next step. States that are only
 * read (frozen parameters) have no output and stay.
 * @throws OptionError, ShapeError
 */
export function exportTrainingStep(options: ExportStepOptions): ExportedStep {
  const { opset = defaultExportOpset, seed = 0, ...step } = options;
  checkExportOpset(opset);
  initialize(step.model, { seed });
  const definition = buildTrainingStep({ ...step, target: { kind: "portable", opset } });
  if (definition.stages.length > 0) {
    throw new OptionError("a training step with a host call is no single ONNX model and cannot be exported");
  }
  const { inputs, outputs } = decodeModel(definition.bytes);
  return {
    bytes: definition.bytes,
    nodeCount: definition.nodeCount,
    inputs: inputs.map((info) => describeInput(info, definition)),
    outputs: outputs.map((info) => describeOutput(info, definition)),
    initial: new Map(
      inputs.flatMap(({ name }) => {
        const type = definition.states.get(name);
        return type ? [[name, { dtype: type.dtype, shape: type.shape, data: initialValue(type) }]] : [];
      }),
    ),
  };
}

function describeInput(info: OnnxValueInfo, { states, noise, traced }: TrainingStep): StepInput {
  const type = concreteType(info);
  const drawn = noise.find(({ name }) => name === info.name);
  if (drawn) return { ...type, role: "noise", distribution: drawn.distribution, stream: drawn.stream };
  if (states.has(info.name)) return { ...type, role: "state" };
  const batches = [...traced.graph.inputs.keys()].map(stepNames.batch);
  return { ...type, role: batches.includes(info.name) ? "batch" : "scalar" };
}

function describeOutput(info: OnnxValueInfo, { next }: TrainingStep): StepOutput {
  const type = concreteType(info);
  const state = Object.entries(next).find(([, output]) => output === info.name)?.[0];
  if (state !== undefined) return { ...type, role: "state", feeds: state };
  if (info.name === stepNames.loss) return { ...type, role: "loss" };
  return { ...type, role: info.name === stepNames.gradientNorm ? "gradient-norm" : "metric" };
}

/** Training graphs have a concrete batch. */
function concreteType({ name, dtype, shape }: OnnxValueInfo) {
  return { name, dtype, shape: shape.map(Number) };
}
