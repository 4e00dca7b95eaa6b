import { describe, expect, it } from "vitest";
import { explain } from "../../src/explain/explain.js";
import { gradCam } from "../../src/explain/grad-cam.js";
import { imageOf, TanhClassifier } from "./networks.js";

const image = imageOf([2, 3, 3], (at) => Math.max(0, (((7 * at) % 11) - 4) / 4));

/**
 * Heat of classes 0 and 2 computed once with PyTorch in float64; that of Grad-CAM++ by differentiating exp(score) itself and dividing the
 * result by exp(score).
 */
const reference = {
  "grad-cam": {
    0: [0.021659, 0.029604, 0, 0.075453, 0.019736, 0.032489, 0.06017, 0.009868, 0.027074],
    2: [0, 0.003757, 0, 0.007174, 0.002504, 0, 0.006035, 0.001252, 0],
  },
  "grad-cam++": {
    0: [0.341545, 0.343894, 0, 0.943948, 0.229263, 0.512318, 0.74393, 0.114631, 0.426932],
    2: [0.055622, 0.050329, 0, 0.142376, 0.033553, 0.083434, 0.111693, 0.016776, 0.069528],
  },
} as const;

function expectNear(values: Float32Array, expected: readonly number[]): void {
  expect(values).toHaveLength(expected.length);
  for (const [at, value] of expected.entries()) expect(values[at]).toBeCloseTo(value, 5);
}

describe.each(["grad-cam", "grad-cam++"] as const)("%s", (method) => {
  it("gives PyTorch's heat for each class that is asked for", async () => {
    const found = await explain(new TanhClassifier(), image, { method, classes: [0, 2] });
    expect(found.maps.map(({ tap, class: label }) => [tap, label])).toEqual([
      ["features", 0],
      ["features", 2],
    ]);
    expectNear(found.maps[0]!.values.data, reference[method][0]);
    expectNear(found.maps[1]!.values.data, reference[method][2]);
    expect(found.prediction).toBe(1);
    for (const [at, logit] of [-0.0151, 0.8557, -1.2977].entries()) {
      expect(found.logits[at]).toBeCloseTo(logit, 3);
    }
  });

  it("explains the predicted class by default, and the same in a batch", async () => {
    const model = new TanhClassifier();
    const single = await explain(model, image, { method });
    expect(single.maps.map((map) => map.class)).toEqual([1]);
    const images = { ...image, shape: [2, 2, 3, 3], data: Float32Array.of(...image.data, ...image.data) };
    const classes = { dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 0n) } as const;
    const { heat } = await gradCam(model, images, { tap: "features", method, classes });
    expectNear(single.maps[0]!.values.data, [...heat.data.slice(0, 9)].map(Number));
    expectNear((heat.data as Float32Array).slice(9), reference[method][0]);
  });
});
