import { elementCount, type HostTensor } from "../../base/dtype.js";
import { fillNormal } from "../../base/random.js";

/** Images of standard normal values, always the same, to compare what two models make of them. */
export function randomImages(shape: readonly number[]): HostTensor {
  const data = new Float32Array(elementCount(shape));
  fillNormal(data, { seed: 0, stream: "images", step: 0 });
  return { dtype: "float32", shape, data };
}
