import type { DType, HostTensor } from "../base/dtype.js";
import { elementCount, hostArray } from "../base/dtype.js";
import { DeviceError } from "../base/errors.js";
import { DeviceTensor, type Value } from "./engine.js";
import type { Tensors } from "./protocol.js";
import { checkFits, checkHostTensor, lookUp } from "./tensor-check.js";

/** A tensor in two versions: a step reads one and makes the other. */
interface Slot {
  readonly dtype: DType;
  readonly shape: readonly number[];
  current: Value;
  /** The value before the last step where `written`; else memory that a step on the CPU can write. */
  spare: Value | undefined;
  /** The last step wrote this state. */
  written: boolean;
}

/**
 * The values of a state store. Each lies on the host or on a device, wherever the last step left it. A state that a step does not
 * write stays.
 */
export class StateTensors {
  readonly #slots = new Map<string, Slot>();
  #canRevert = false;

  constructor(values: Tensors) {
    for (const [name, value] of Object.entries(values)) {
      checkHostTensor(`state '${name}'`, value);
      const { dtype, shape } = value;
      this.#slots.set(name, { dtype, shape, current: value, spare: undefined, written: false });
    }
  }

  /** The present value of a state; undefined where there is no such state. */
  current(name: string): Value | undefined {
    return this.#slots.get(name)?.current;
  }

  /** Dtype and shape of a state. @throws DeviceError for an unknown name */
  type(name: string): Pick<Slot, "dtype" | "shape"> {
    return this.#slot(name);
  }

  /** The same value in another place. */
  move(name: string, value: Value): void {
    const slot = this.#slot(name);
    release(slot.current);
    slot.current = value;
  }

  /** Memory on the host for the next value of a state; `begin` comes first. */
  hostSpare(name: string): HostTensor {
    const slot = this.#slot(name);
    if (slot.spare === undefined || slot.spare instanceof DeviceTensor) {
      const { dtype, shape } = slot;
      slot.spare = { dtype, shape, data: hostArray(dtype, elementCount(shape)) };
    }
    return slot.spare;
  }

  /** The memory on the host that a state has now; undefined where it lies on a device. */
  hostCurrent(name: string): HostTensor | undefined {
    const { current } = this.#slot(name);
    return current instanceof DeviceTensor ? undefined : current;
  }

  /** Before a step: the values before the last one are lost. */
  begin(): void {
    for (const slot of this.#slots.values()) {
      if (slot.spare instanceof DeviceTensor) {
        release(slot.spare);
        slot.spare = undefined;
      }
      slot.written = false;
    }
    this.#canRevert = false;
  }

  /** After a step: its results are the present values. One that was written over cannot be reverted. */
  commit(next: ReadonlyMap<string, Value>): void {
    for (const [name, value] of next) {
      const slot = this.#slot(name);
      if (slot.current === value) continue;
      slot.spare = slot.current;
      slot.current = value;
      slot.written = true;
    }
    this.#canRevert = true;
  }

  /** Throws the last step away. @throws DeviceError where there is none */
  revert(): void {
    if (!this.#canRevert) throw new DeviceError("the state has no last step to revert");
    for (const slot of this.#slots.values()) {
      if (slot.written && slot.spare !== undefined) [slot.current, slot.spare] = [slot.spare, slot.current];
    }
    this.begin();
  }

  /** Copies of values on the host, of the present ones or those before the last step. */
  async read(names: readonly string[] | undefined, previous: boolean): Promise<Record<string, HostTensor>> {
    const values: Record<string, HostTensor> = {};
    for (const name of names ?? this.#slots.keys()) {
      const { current, spare, written } = this.#slot(name);
      const value = previous && written && spare !== undefined ? spare : current;
      if (value instanceof DeviceTensor) values[name] = await value.engine.download(value);
      else values[name] = { ...value, data: value.data.slice() };
    }
    return values;
  }

  /** Sets present values. @throws DeviceError, ShapeError; nothing is written then */
  write(values: Tensors): void {
    for (const [name, value] of Object.entries(values)) {
      const what = `state '${name}'`;
      checkHostTensor(what, value);
      checkFits(what, value, this.#slot(name));
    }
    this.begin();
    for (const [name, value] of Object.entries(values)) this.move(name, value);
  }

  /** Frees what lies on devices. */
  close(): void {
    for (const { current, spare } of this.#slots.values()) {
      release(current);
      release(spare);
    }
    this.#slots.clear();
  }

  #slot(name: string): Slot {
    return lookUp(this.#slots, name, "state");
  }
}

function release(value: Value | undefined): void {
  if (value instanceof DeviceTensor) value.dispose();
}
