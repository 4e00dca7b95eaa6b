import { describe, expect, it } from "vitest";
import { mechanismClasses } from "../../src/attention/catalogue.js";
import { mapLayout } from "../../src/attention/map-layout.js";
import { type TracedMap, tracedMaps } from "../../src/attention/model-maps.js";
import { elementCount } from "../../src/base/dtype.js";
import { explainedMap } from "../../src/explain/explained-map.js";
import type { ExplainedMap } from "../../src/explain/types.js";
import { concreteShape } from "../../src/graph/size.js";
import { requireTrace } from "../../src/graph/trace.js";
import { compile } from "../../src/runtime/executable.js";
import { traceCall, trialsOf, typesOf, valuesOf } from "../attention/trial.js";

/** The maps of one example of a mechanism, for one image. */
async function exampleMaps(type: ReturnType<typeof mechanismClasses>[number], example: number) {
  const found: { map: ExplainedMap; traced: TracedMap; sizes: Readonly<Record<string, number>> }[] = [];
  for (const trial of trialsOf(type, example)) {
    // One that mixes the samples of a batch has examples of that batch alone.
    const sizes = trial.signature.concreteBatch ? trial.sizes : { ...trial.sizes, batch: 1 };
    let traced: TracedMap[] = [];
    const graph = traceCall(trial, typesOf(trial, sizes), {
      after: (outputs) => {
        traced = tracedMaps(trial.module, requireTrace("test"));
        return { ...outputs, ...Object.fromEntries(traced.map(({ tensor }, at) => [`map${at}`, tensor])) };
      },
    });
    const executable = await compile(graph);
    const { outputs } = await executable.run(valuesOf(trial, sizes));
    await executable.close();
    for (const [at, map] of traced.entries()) {
      const shape = concreteShape(map.tensor.shape);
      const laidOut = { ...map, shape, layout: mapLayout(map.declaration, shape, map.sizes) };
      found.push({ map: explainedMap(laidOut, outputs[`map${at}`]!, {}), traced: map, sizes });
    }
  }
  return found;
}

const isGrid = /^(frames\*)?\w*(h|H)eight\d*\*\w*(w|W)idth\d*$/;

describe.each(mechanismClasses().map((type) => [type.about.id, type] as const))("maps of %s", (_, type) => {
  it("have a layout that can be drawn", async () => {
    for (const example of type.about.examples.keys()) {
      for (const { map, traced, sizes } of await exampleMaps(type, example)) {
        const { kind, shape } = traced.declaration;
        const what = `${map.name} [${shape.join(", ")}]`;
        expect(map.axes, what).toHaveLength(map.values.shape.length);
        expect(map.views.length, what).toBeGreaterThan(0);
        for (const view of map.views) {
          const values = view.form === "heat" ? view.heat.data : view.values;
          if (view.form === "heat") expect(values.length, what).toBe(elementCount(view.heat.shape));
          expect(values.length, what).toBeGreaterThan(0);
          expect(values.every(Number.isFinite), `${what} ${view.label}`).toBe(true);
        }
        const [whole] = map.views;
        if (["channel-gate", "branch", "temporal"].includes(kind)) expect(whole!.form, what).toBe("bars");
        if (kind === "channel-gate")
          expect(whole).toMatchObject({ values: { length: traced.tensor.shape[1] } });
        if (kind === "spatial") expect(whole, what).toMatchObject({ form: "heat", overImage: true });
        if (kind === "spatial" && shape.includes("height") && shape.includes("width")) {
          expect(whole, what).toMatchObject({ heat: { shape: [sizes.height, sizes.width] } });
        }
        if (kind === "tokens" && isGrid.test(String(shape.at(-2)))) {
          expect(map.layout.queries, what).toBeDefined();
          expect(whole, what).toMatchObject({ overImage: true });
        }
        if (kind === "tokens" && isGrid.test(String(shape.at(-1)))) {
          expect(map.layout.keys, what).toBeDefined();
          expect(whole, what).toMatchObject({ overImage: true });
        }
        const { keys } = map.layout;
        const losesMass =
          keys?.form === "window" ? keys.border === "none" : keys?.form === "grid" && keys.prefix > 0;
        if (keys && traced.declaration.sumsToOne && !losesMass && whole!.form === "heat") {
          const total = whole!.heat.data.reduce((sum, value) => sum + value, 0);
          expect(total, what).toBeCloseTo(keys.form === "grid" ? 1 / keys.frames : 1, 4);
        }
      }
    }
  });
});
