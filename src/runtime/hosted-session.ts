import type { InferenceSession, Tensor } from "onnxruntime-common";
import { checkInteger } from "../base/check.js";
import { elementCount, type HostArray, type HostTensor, hostArray } from "../base/dtype.js";
import { DeviceError } from "../base/errors.js";
import { fillNoise, noiseDType, noiseTensor } from "../base/noise.js";
import { type DeviceChoice, hasDeviceMemory } from "./devices.js";
import { DeviceTensor, type Engine, guarded, type Value } from "./engine.js";
import { dtypeOfOrt } from "./ort-tensor.js";
import type { PlacementRecorder, TargetWriter } from "./platform.js";
import type { Tensors } from "./protocol.js";
import type { StateTensors } from "./state.js";
import { checkFits, lookUp } from "./tensor-check.js";
import type { Placement, StepCall, TensorInfo } from "./types.js";

/** A session of ONNX Runtime with what is known of it. */
export class HostedSession {
  readonly name: string;
  readonly engine: Engine;
  readonly placedOn: DeviceChoice;
  /** Path prefix of the profile, where one is written. */
  readonly profile: string | undefined;
  readonly inputs: ReadonlyMap<string, TensorInfo>;
  readonly outputs: ReadonlyMap<string, TensorInfo>;
  readonly session: InferenceSession;
  /** Outputs have places of their own; ONNX Runtime then gives all of them or none. */
  readonly #bindsOutputs: boolean;
  readonly #targetWriter: TargetWriter | undefined;
  readonly #recorder: PlacementRecorder | undefined;
  #placement: Placement | undefined;
  #hasRun = false;
  /** Copies of inputs that came in shared memory, written anew with each call. */
  readonly #ownFeeds = new Map<string, HostArray>();
  /** Arrays of noise inputs, filled anew for each step. */
  readonly #noise = new Map<string, HostTensor>();

  /** @throws DeviceError for inputs or outputs that are no tensors of a dtype of graphs */
  constructor(parts: {
    name: string;
    engine: Engine;
    session: InferenceSession;
    placedOn: DeviceChoice;
    profile: string | undefined;
    recorder: PlacementRecorder | undefined;
    bindsOutputs: boolean;
    targetWriter: TargetWriter | undefined;
  }) {
    this.name = parts.name;
    this.engine = parts.engine;
    this.session = parts.session;
    this.placedOn = parts.placedOn;
    this.profile = parts.profile;
    this.#recorder = parts.recorder;
    this.#bindsOutputs = parts.bindsOutputs;
    this.#targetWriter = parts.targetWriter;
    const byName = (metadata: readonly InferenceSession.ValueMetadata[]) =>
      new Map(metadata.map((value) => [value.name, tensorInfo(parts.name, value)]));
    this.inputs = byName(parts.session.inputMetadata);
    const extra = parts.targetWriter?.extraOutput;
    this.outputs = byName(parts.session.outputMetadata.filter(({ name }) => name !== extra));
  }

  /** Runs the model once and returns outputs on the host. */
  async run(feeds: Tensors, fetches: readonly string[] | undefined): Promise<Record<string, HostTensor>> {
    const tensors = this.#feedTensors(feeds);
    this.#checkComplete(tensors);
    const names = this.#fetchNames(fetches);
    return this.#collect(await this.#execute(tensors, targetsOf(names)), names);
  }

  /** Runs the model over a state. */
  async step(state: StateTensors, call: StepCall): Promise<Record<string, HostTensor>> {
    const feeds = this.#feedTensors(call.feeds);
    this.#drawNoise(call, feeds);
    const next = Object.entries(call.next);
    await this.#feedState(state, feeds, new Set(Object.keys(call.next)));
    this.#checkComplete(feeds);
    const fetches = this.#fetchNames(call.fetches);
    this.#checkNext(state, next);

    state.begin();
    const targets = targetsOf([...fetches, ...next.map(([, output]) => output)]);
    // Where tensors live on the host, results are written into memory that is there already.
    const inPlace = this.engine.writesTargets && !hasDeviceMemory(this.placedOn.device);
    const values = new Map<string, Value>();
    if (inPlace) {
      const overwrites = new Set(call.overwrites);
      for (const [name, output] of next) {
        const place = (overwrites.has(name) ? state.hostCurrent(name) : undefined) ?? state.hostSpare(name);
        values.set(name, place);
        targets[output] = this.engine.tensor(place);
      }
      for (const name of fetches) targets[name] ??= this.#ownTarget(name);
    }
    const results = await this.#execute(feeds, targets);
    if (!inPlace) {
      for (const [name, output] of next) values.set(name, this.engine.value(results[output]!));
    }
    const collected = await this.#collect(results, fetches, new Set(Object.values(call.next)));
    state.commit(values);
    return collected;
  }

  /** @throws DeviceError where it is not recorded, or nothing has run */
  async placement(): Promise<Placement> {
    if (this.#recorder === undefined) {
      throw new DeviceError(`${this.name} was created without the option placement`);
    }
    if (!this.#hasRun)
      throw new DeviceError(`${this.name} has not run yet; where its nodes run is not known`);
    const recorder = this.#recorder;
    this.#placement ??= await guarded(this.name, () => recorder.result(this.session));
    return this.#placement;
  }

  async release(): Promise<void> {
    await guarded(this.name, () => this.session.release());
  }

  async #execute(
    feeds: Readonly<Record<string, Tensor>>,
    targets: Readonly<Record<string, Tensor | null>>,
  ): Promise<Readonly<Record<string, Tensor>>> {
    if (this.#targetWriter !== undefined && haveTargets(targets)) {
      const writer = this.#targetWriter;
      await guarded(this.name, () => writer.run(this.session, feeds, targets, this.#recorder?.runOptions));
      this.#hasRun = true;
      return targets;
    }
    const all = this.#bindsOutputs ? targetsOf([...this.outputs.keys()]) : targets;
    const results = (await guarded(this.name, () =>
      this.session.run(feeds, all, this.#recorder?.runOptions),
    )) as Readonly<Record<string, Tensor>>;
    this.#hasRun = true;
    for (const [name, tensor] of Object.entries(results)) if (!(name in targets)) tensor.dispose();
    return results;
  }

  /** A place for an output that no state has one for; null where its size is known only afterwards. */
  #ownTarget(name: string): Tensor | null {
    const { dtype, shape } = this.outputs.get(name)!;
    if (this.#targetWriter === undefined || !shape.every((size) => typeof size === "number")) return null;
    return this.engine.tensor({ dtype, shape, data: hostArray(dtype, elementCount(shape)) });
  }

  #feedTensors(feeds: Tensors): Record<string, Tensor> {
    const tensors: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(feeds)) {
      checkFits(`${this.name}: input '${name}'`, tensor, lookUp(this.inputs, name, `${this.name}: input`));
      tensors[name] = this.engine.tensor(this.#readable(name, tensor));
    }
    return tensors;
  }

  /** The tensor, or a copy where it lies in shared memory: onnxruntime-node 1.30 reads none in Node.js 20. */
  #readable(name: string, tensor: HostTensor): HostTensor {
    const { dtype, shape, data } = tensor;
    if (data.buffer instanceof ArrayBuffer) return tensor;
    const known = this.#ownFeeds.get(name);
    const copy = known?.length === data.length ? known : hostArray(dtype, data.length);
    copy.set(data as never);
    this.#ownFeeds.set(name, copy);
    return { dtype, shape, data: copy };
  }

  /** Adds the tensors of the noise inputs to `feeds`. */
  #drawNoise(call: StepCall, feeds: Record<string, Tensor>): void {
    if (call.noise === undefined || call.noise.length === 0) return;
    const { seed, step } = call;
    checkInteger(`${this.name}: noise`, "seed", seed);
    checkInteger(`${this.name}: noise`, "step", step);
    for (const { name, shape, distribution, stream } of call.noise) {
      const what = `${this.name}: noise '${name}'`;
      if (feeds[name] !== undefined) throw new DeviceError(`${what} is fed as well, or listed twice`);
      const dtype = noiseDType(distribution);
      checkFits(what, { dtype, shape }, lookUp(this.inputs, name, `${this.name}: input`));
      let tensor = this.#noise.get(name);
      if (tensor?.dtype !== dtype || tensor.shape.join() !== shape.join()) {
        tensor = noiseTensor(distribution, shape);
        this.#noise.set(name, tensor);
      }
      fillNoise(tensor, distribution, { seed: seed as number, stream, step: step as number });
      feeds[name] = this.engine.tensor(tensor);
    }
  }

  /** Adds the state's tensors to `feeds`; `replaced` are those that get a new value in this step. */
  async #feedState(
    state: StateTensors,
    feeds: Record<string, Tensor>,
    replaced: ReadonlySet<string>,
  ): Promise<void> {
    for (const [name, info] of this.inputs) {
      const value = state.current(name);
      if (value === undefined) continue;
      if (feeds[name] !== undefined) {
        throw new DeviceError(`${this.name}: input '${name}' is fed and is a state as well`);
      }
      checkFits(`${this.name}: state '${name}'`, value, info);
      feeds[name] = await this.#reach(state, name, value, replaced.has(name));
    }
  }

  /**
   * A state's value where this session can read it. A session on the host reads a device's tensor as garbage without an error, so it
   * gets a copy; what a device will read again stays there.
   */
  async #reach(state: StateTensors, name: string, value: Value, isReplaced: boolean): Promise<Tensor> {
    const onDevice = hasDeviceMemory(this.placedOn.device);
    if (value instanceof DeviceTensor) {
      if (onDevice && value.engine === this.engine) return value.tensor;
      return this.engine.tensor(await value.engine.download(value));
    }
    if (!onDevice || isReplaced) return this.engine.tensor(value);
    const uploaded = await this.engine.upload(value);
    state.move(name, uploaded);
    return uploaded.tensor;
  }

  #checkNext(state: StateTensors, next: readonly (readonly [string, string])[]): void {
    const written = new Set<string>();
    for (const [name, output] of next) {
      const info = lookUp(this.outputs, output, `${this.name}: output`);
      const type = state.type(name);
      if (written.has(output)) {
        throw new DeviceError(`${this.name}: output '${output}' is the next value of two states`);
      }
      written.add(output);
      checkFits(`${this.name}: state '${name}', written by output '${output}',`, type, info);
    }
  }

  #checkComplete(feeds: Readonly<Record<string, Tensor>>): void {
    const missing = [...this.inputs.keys()].filter((input) => feeds[input] === undefined);
    if (missing.length > 0) {
      const list = missing.map((input) => `'${input}'`).join(", ");
      throw new DeviceError(`${this.name}: nothing is fed to input ${list}`);
    }
  }

  /** Names of outputs, each once. */
  #fetchNames(fetches: readonly string[] | undefined): string[] {
    if (fetches === undefined) return [...this.outputs.keys()];
    for (const name of fetches) lookUp(this.outputs, name, `${this.name}: output`);
    return [...new Set(fetches)];
  }

  /** Outputs on the host. What lies on a device is freed, unless a state keeps it; what a state keeps is copied. */
  async #collect(
    results: Readonly<Record<string, Tensor>>,
    names: readonly string[],
    kept: ReadonlySet<string> = new Set(),
  ): Promise<Record<string, HostTensor>> {
    const collected: Record<string, HostTensor> = {};
    for (const name of names) {
      const value = this.engine.value(results[name]!);
      if (!(value instanceof DeviceTensor)) {
        collected[name] = kept.has(name) ? { ...value, data: value.data.slice() } : value;
        continue;
      }
      collected[name] = await this.engine.download(value);
      if (!kept.has(name)) value.dispose();
    }
    return collected;
  }
}

function targetsOf(names: readonly string[]): Record<string, Tensor | null> {
  return Object.fromEntries(names.map((name) => [name, null]));
}

function haveTargets(
  targets: Readonly<Record<string, Tensor | null>>,
): targets is Readonly<Record<string, Tensor>> {
  return Object.values(targets).every((target) => target !== null);
}

function tensorInfo(session: string, metadata: InferenceSession.ValueMetadata): TensorInfo {
  const what = `${session}: '${metadata.name}'`;
  if (!metadata.isTensor) throw new DeviceError(`${what} is not a tensor`);
  return { name: metadata.name, dtype: dtypeOfOrt(what, metadata.type), shape: [...metadata.shape] };
}
