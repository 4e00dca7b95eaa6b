import { afterAll, describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { fillNormal } from "../../src/base/random.js";
import { gradCam } from "../../src/explain/grad-cam.js";
import { initialize, trace } from "../../src/graph/model.js";
import * as models from "../../src/models/registry.js";
import { release, run } from "../../src/runtime/run.js";

const model = models.create("vit_micro_patch4_32", { imageSize: [16, 24], numClasses: 3 });
initialize(model, { seed: 1 });
afterAll(() => release(model));

function images(count: number): HostTensor {
  const data = new Float32Array(count * 3 * 16 * 24);
  fillNormal(data, { seed: 2, stream: "images", step: 0 });
  return { dtype: "float32", shape: [count, 3, 16, 24], data };
}

describe("a vision transformer of the registry", () => {
  it("names the tokens after each block", () => {
    expect(model.features).toEqual(
      Object.fromEntries([0, 1, 2, 3, 4, 5].map((index) => [`block${index}`, `blocks.${index}.output`])),
    );
    const { taps } = trace(model, { shape: [2, 3, 16, 24] });
    expect(taps.get("blocks.5.output")?.shape).toEqual([2, 25, 96]);
  });

  it("has last features that every patch's score depends on", async () => {
    const { heat } = await gradCam(model, images(2), { tap: model.lastFeatures });
    expect(heat.shape).toEqual([2, 1, 4, 6]);
    expect((heat.data as Float32Array).every((value) => value >= 0)).toBe(true);
    expect((heat.data as Float32Array).some((value) => value > 0)).toBe(true);
    // Behind the last block only the class token counts.
    const last = await gradCam(model, images(2), { tap: "blocks.5.output" });
    expect((last.heat.data as Float32Array).every((value) => value === 0)).toBe(true);
  });

  it("gives an image its logits whatever the batch", async () => {
    const three = images(3);
    const one = { ...three, shape: [1, 3, 16, 24], data: three.data.slice(0, 3 * 16 * 24) } as HostTensor;
    const [many, single] = [(await run(model, three)).outputs.y!, (await run(model, one)).outputs.y!];
    for (const [index, value] of [...(single.data as Float32Array)].entries()) {
      expect(many.data[index]).toBeCloseTo(value, 5);
    }
  });
});
