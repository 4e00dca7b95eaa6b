import type { Tensor, TensorConstructor } from "onnxruntime-common";
import { type HostTensor, hostArray } from "../base/dtype.js";
import { DeviceError } from "../base/errors.js";
import { toHostTensor, toOrtTensor } from "./ort-tensor.js";
import type { Tensors } from "./protocol.js";
import { checkFits, checkHostTensor, lookUp } from "./tensor-check.js";

/** A tensor in two copies: a step reads one and writes the other. */
interface Slot {
  readonly name: string;
  current: Tensor;
  spare: Tensor;
  /** The last step wrote this state, so that `spare` holds its previous value. */
  written: boolean;
}

/** The values of a state store, two sets of tensors that steps swap. A state that a step does not write stays. */
export class StateTensors {
  readonly #slots = new Map<string, Slot>();
  #canRevert = false;

  constructor(tensor: TensorConstructor, values: Tensors) {
    for (const [name, value] of Object.entries(values)) {
      checkHostTensor(`state '${name}'`, value);
      const spare = { ...value, data: hostArray(value.dtype, value.data.length) };
      this.#slots.set(name, {
        name,
        current: toOrtTensor(tensor, value),
        spare: toOrtTensor(tensor, spare),
        written: false,
      });
    }
  }

  /** The present tensor of a state, to be fed; undefined where there is no such state. */
  current(name: string): Tensor | undefined {
    return this.#slots.get(name)?.current;
  }

  /** The tensor that the next value of a state is to be written to. @throws DeviceError for an unknown name */
  spare(name: string): Tensor {
    return this.#slot(name).spare;
  }

  /** Before a step: the spare tensors lose the values of the last one. */
  begin(): void {
    for (const slot of this.#slots.values()) slot.written = false;
    this.#canRevert = false;
  }

  /** After a step that has written the spare tensors of `names`: they become the present ones. */
  commit(names: Iterable<string>): void {
    for (const name of names) {
      const slot = this.#slot(name);
      swap(slot);
      slot.written = true;
    }
    this.#canRevert = true;
  }

  /** Throws the last step away. @throws DeviceError where there is none */
  revert(): void {
    if (!this.#canRevert) throw new DeviceError("the state has no last step to revert");
    for (const slot of this.#slots.values()) {
      if (slot.written) swap(slot);
    }
    this.begin();
  }

  /** Copies of values, of the present ones or those before the last step. */
  read(names: readonly string[] | undefined, previous: boolean): Record<string, HostTensor> {
    const values: Record<string, HostTensor> = {};
    for (const name of names ?? this.#slots.keys()) {
      const slot = this.#slot(name);
      const { dtype, shape, data } = toHostTensor(previous && slot.written ? slot.spare : slot.current);
      values[name] = { dtype, shape, data: data.slice() };
    }
    return values;
  }

  /** Sets present values. @throws DeviceError, ShapeError; nothing is written then */
  write(values: Tensors): void {
    for (const [name, value] of Object.entries(values)) {
      const what = `state '${name}'`;
      checkHostTensor(what, value);
      checkFits(what, value, toHostTensor(this.#slot(name).current));
    }
    this.begin();
    for (const [name, { data }] of Object.entries(values)) {
      toHostTensor(this.#slot(name).current).data.set(data as never);
    }
  }

  #slot(name: string): Slot {
    return lookUp(this.#slots, name, "state");
  }
}

function swap(slot: Slot): void {
  [slot.current, slot.spare] = [slot.spare, slot.current];
}
