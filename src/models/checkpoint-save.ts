import type { HostTensor } from "../base/dtype.js";
import { writeSafetensors } from "../formats/safetensors.js";
import { toTorchNames } from "../formats/torch-names.js";
import { type Model, namedVariables } from "../graph/model.js";
import { stateDict } from "../nn/state-dict.js";
import { layoutOf, type Slot } from "./checkpoint-layouts.js";
import type { TensorNames } from "./checkpoint-load.js";

/** Options of `saveWeights`. */
export interface SaveWeightsOptions {
  /** `fovea` by default; with `torch` PyTorch loads the file strictly: timm's names, and BatchNorm's counters. */
  readonly names?: TensorNames;
  /**
   * References whose layout mechanisms get with `names: "torch"`, the first that a mechanism knows, as in its `about.checkpoints`; others have
   * our names in snake_case, which are timm's where timm has the mechanism. `pytorch/pytorch` by default: the layers of `torch.nn`.
   */
  readonly references?: readonly string[];
  /** Free text by key, kept in the file's header. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * The weights of a network as a safetensors file; variables without a value get their initial one. Equal weights give equal bytes.
 * @throws FormatError where two tensors would have one name
 */
export function saveWeights(model: Model, options: SaveWeightsOptions = {}): Uint8Array<ArrayBuffer> {
  const { names = "fovea", references = ["pytorch/pytorch"], metadata = {} } = options;
  const values = stateDict(model);
  if (names === "fovea") return writeSafetensors(values, metadata);
  const { slots, modules } = layoutOf(model, namedVariables(model), references);
  const tensors = new Map(slots.map((slot) => [slot.name, storedTensor(slot, values)]));
  const { names: keys, counters } = toTorchNames(tensors.keys(), { modules });
  return writeSafetensors(
    [
      ...[...tensors].map(([name, tensor]) => [keys.get(name)!, tensor] as const),
      ...counters.map((key) => [key, { dtype: "int64", shape: [], data: new BigInt64Array(1) }] as const),
    ],
    // PyTorch's tools ask for the format.
    { format: "pt", ...metadata },
  );
}

function storedTensor(
  { name, shape, parts, stored, sameAs }: Slot,
  values: ReadonlyMap<string, HostTensor>,
): HostTensor {
  if (!stored) return values.get(sameAs ?? name)!;
  const tensors = [...parts.keys()].map((part) => values.get(part)!);
  const data = stored.join(
    tensors.map((tensor) => tensor.data as Float32Array),
    tensors.map((tensor) => tensor.shape),
  );
  return { dtype: "float32", shape, data };
}
