import type { MechanismResult } from "./result.js";

/** What the machine reached in the same rounds. */
export interface MachineRates {
  /** Floating-point operations a millisecond of a matrix product. */
  readonly operations: number;
  /** Bytes a millisecond that a copy reads and writes. */
  readonly bytes: number;
}

/** The least time that operations and bytes allow: the larger of operations over the rate of products and bytes over that of copies. */
export function roofline(
  { operations, bytes }: { readonly operations: number; readonly bytes: number },
  rates: MachineRates,
): Pick<MechanismResult, "roofline" | "bound"> {
  const [computing, moving] = [operations / rates.operations, bytes / rates.bytes];
  return computing > moving
    ? { roofline: computing, bound: "operations" }
    : { roofline: moving, bound: "bytes" };
}
