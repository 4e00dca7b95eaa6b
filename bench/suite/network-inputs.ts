import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { fillNormal, fillUniform } from "../../src/base/random.js";
import { type BenchNetwork, networks } from "./networks.js";
import type { NetworkWork } from "./work.js";

/** Images [N, C, H, W] and labels [N], of pixels [N, H, W], that a network gets; always the same. */
export function networkInputs({ network, shape }: Pick<NetworkWork, "network" | "shape">): {
  readonly x: HostTensor;
  readonly y: HostTensor;
} {
  const { classes, labels }: BenchNetwork = networks[network];
  const x = new Float32Array(elementCount(shape));
  fillNormal(x, { seed: 1, stream: "images", step: 0 });
  const [count, , height, width] = shape;
  const labelShape = labels === "image" ? [count] : [count, height, width];
  const shares = new Float32Array(elementCount(labelShape));
  fillUniform(shares, { seed: 1, stream: "labels", step: 0 });
  const y = BigInt64Array.from(shares, (share) => BigInt(Math.floor(share * classes)));
  return {
    x: { dtype: "float32", shape, data: x },
    y: { dtype: "int64", shape: labelShape, data: y },
  };
}
