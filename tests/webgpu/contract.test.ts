import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mechanismClasses } from "../../src/attention/catalogue.js";
import { mapTensors } from "../../src/attention/maps.js";
import type { HostTensor } from "../../src/base/dtype.js";
import type { Graph } from "../../src/graph/model.js";
import { compile } from "../../src/runtime/executable.js";
import type { Placement, Session } from "../../src/runtime/types.js";
import { compareTensors } from "../../src/verify/compare.js";
import { traceGradients } from "../attention/gradient-step.js";
import { type Trial, traceCall, trialsOf, typesOf, valuesOf } from "../attention/trial.js";
import { incrementModel } from "../runtime/models.js";
import { largestDifference } from "../support/difference.js";
import { sampled } from "./extent.js";
import { runtime } from "./runtime.js";

/** Every call of every example of every mechanism. */
const trials = mechanismClasses().flatMap((type) =>
  type.about.examples.flatMap((_, index) =>
    trialsOf(type, index).map((trial) => ({
      title: `${type.about.id}, example ${index}, ${trial.call}`,
      trial,
    })),
  ),
);

/** Values of a call: outputs, maps and updated buffers by name, and where they were computed. */
interface Results {
  readonly values: Readonly<Record<string, HostTensor>>;
  readonly placement: Placement;
}

async function runOn(device: string, { type, module, ...trial }: Trial, graph: Graph): Promise<Results> {
  const maps = mapTensors(type.about.maps(module.options as never), graph.taps);
  const named = [...maps].map(([name, tensor]) => [`map:${name}`, tensor] as const);
  const outputs = new Map([...graph.outputs, ...named]);
  const executable = await compile({ ...graph, outputs }, { device, placement: true, runtime });
  try {
    const run = await executable.run(valuesOf({ type, module, ...trial }, trial.sizes), { step: 0 });
    return { values: { ...run.outputs, ...run.updates }, placement: await executable.placement() };
  } finally {
    await executable.close();
  }
}

const isGradient = (name: string) => name.startsWith("gradient:");

function expectEqual(computed: Results, expected: Results): void {
  expect(Object.keys(computed.values).sort()).toEqual(Object.keys(expected.values).sort());
  for (const [name, reference] of Object.entries(expected.values)) {
    if (isGradient(name)) continue;
    const comparison = compareTensors(name, computed.values[name], reference, { tolerance: 1e-5 });
    expect(comparison.passed, `${name} ${comparison.problem}`).toBe(true);
  }
  expectEqualGradients(computed, expected);
}

/**
 * Gradients to 1e-4 of their own largest value and 1e-5 of the largest of all, as sums of larger terms round. Those that vanish in
 * exact arithmetic, as before a normalization, are rounding alone; they have to vanish on both.
 */
function expectEqualGradients(computed: Results, expected: Results): void {
  const valuesOfGradient = ({ values }: Results, name: string) =>
    Array.from(values[name]!.data as Float32Array);
  const names = Object.keys(expected.values).filter(isGradient);
  const size = (values: readonly number[]) => values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  const largest = Math.max(...names.map((name) => size(valuesOfGradient(expected, name))));
  for (const name of names) {
    const [found, reference] = [computed, expected].map((results) => valuesOfGradient(results, name));
    const own = size(reference!);
    if (own < largest / 1000) expect(size(found!), `${name} vanishes`).toBeLessThan(largest / 1000);
    else {
      const error = largestDifference(found!, reference!);
      expect(error, name).toBeLessThan(1e-4 * own + 1e-5 * largest);
    }
  }
}

/** Operators of indices and masks, for which WebGPU has no int64 kernels. */
const integerOperators = new Set(["Cast", "Equal", "Identity", "Reshape", "Slice", "Split"]);

function expectOnDevice({ placement }: Results): void {
  expect(Object.keys(placement.fallbacks).filter((operator) => !integerOperators.has(operator))).toEqual([]);
}

describe("on WebGPU as on the CPU", () => {
  /** Keeps the device, and with it the shaders that are compiled. */
  let open: Session;
  beforeAll(async () => {
    open = await runtime.createSession(incrementModel(), { device: "webgpu" });
  });
  afterAll(() => open.close());

  describe.each(sampled(trials, 5))("$title", ({ trial }) => {
    it.each([
      ["outputs and maps", () => traceCall(trial, typesOf(trial, trial.sizes))],
      ["the backward step in training", () => traceGradients(trial)],
    ])("%s", async (_what, trace) => {
      const graph = trace();
      const computed = await runOn("webgpu", trial, graph);
      expectEqual(computed, await runOn("cpu", trial, graph));
      expectOnDevice(computed);
    });
  });
});
