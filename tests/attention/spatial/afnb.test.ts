import { describe, expect, it } from "vitest";
import { AFNB } from "../../../src/attention/spatial/afnb.js";
import { ShapeError } from "../../../src/base/errors.js";
import { initialize, trace } from "../../../src/graph/model.js";
import { batch } from "../../../src/graph/size.js";
import { run } from "../../../src/runtime/run.js";
import { numbers } from "../../ops/evaluate.js";
import { distance, image, randomize } from "../images.js";

const options = {
  lowChannels: 5,
  highChannels: 4,
  outChannels: 6,
  keyChannels: 3,
  valueChannels: 4,
  poolSizes: [1, 2],
  dropout: 0,
};
const high = image([2, 4, 3, 4], "high");
const low = (height: number, width: number) => image([2, 5, height, width], "low");

describe("asymmetric fusion non-local block", () => {
  it("keeps the number of regions, whatever the size of the early features", () => {
    const module = new AFNB({ lowChannels: 5, highChannels: 4, outChannels: 4 });
    for (const side of [1, 4, 9]) {
      const inputs = { low: { shape: [batch, 5, side, side + 1] }, high: { shape: [batch, 4, 6, 7] } };
      expect(trace(module, inputs).taps.get("attention")!.shape).toEqual([batch, 42, 110]);
    }
  });

  it("gives the early features no say at first, and then some", async () => {
    const outputs = async (module: AFNB, side: number) =>
      numbers((await run(module, { low: low(side, side), high })).outputs.y!);
    const module = new AFNB(options);
    initialize(module);
    expect(distance(await outputs(module, 4), await outputs(module, 5))).toBe(0);
    randomize(module);
    expect(distance(await outputs(module, 4), await outputs(module, 5))).toBeGreaterThan(0.01);
  });

  it("gives negative values too: no ReLU at the end", async () => {
    const { y } = (await run(randomize(new AFNB(options)), { low: low(4, 4), high })).outputs;
    expect(Math.min(...numbers(y!))).toBeLessThan(0);
  });

  it("drops whole channels in training", async () => {
    const module = randomize(new AFNB({ ...options, dropout: 0.5 }));
    const y = numbers((await run(module, { low: low(4, 4), high }, { training: true })).outputs.y!);
    const planes = Array.from({ length: 12 }, (_, plane) => y.slice(plane * 12, (plane + 1) * 12));
    const empty = planes.filter((plane) => plane.every((value) => value === 0));
    expect(empty.length).toBeGreaterThan(0);
    expect(empty.length).toBeLessThan(12);
  });

  it("refuses images of two batch sizes", () => {
    const inputs = { low: { shape: [3, 5, 4, 4] }, high: { shape: [2, 4, 3, 4] } };
    expect(() => trace(new AFNB(options), inputs)).toThrow(ShapeError);
  });
});
