import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { nodeRuntime } from "../../src/runtime/node.js";
import { findTargetWriter } from "../../src/runtime/node-target-writer.js";
import type { OrtModule } from "../../src/runtime/platform.js";
import { floats, incrementModel, momentumModel, scalar } from "./models.js";
import { describeState } from "./state-suite.js";

const runtime = nodeRuntime();
const deviceOutputs = ["w.next", "v.next"];

describe("a state that results are written into", () =>
  describeState(runtime, { device: "cpu", deviceOutputs }));

describe("a writer of targets", () => {
  const options = { logSeverityLevel: 4 } as const;
  const vector = (...values: number[]) =>
    new ort.Tensor("float32", Float32Array.from(values), [values.length]);

  it("writes results into the given arrays and passes errors on", async () => {
    const writer = (await findTargetWriter(ort))!;
    const session = await ort.InferenceSession.create(writer.prepare(incrementModel()), options);
    expect(session.outputNames).toEqual([writer.extraOutput, "y"]);
    const y = vector(0, 0);
    await writer.run(session, { x: vector(1, 2) }, { y });
    expect([...(y.data as Float32Array)]).toEqual([2, 3]);
    await expect(writer.run(session, { x: vector(1, 2, 3) }, { y })).rejects.toThrow(/[Ii]nvalid/);
    await session.release();
  });

  it("is not needed where given tensors come back", async () => {
    const returning = {
      ...ort,
      InferenceSession: {
        create: async () => ({
          run: async (_: unknown, targets: unknown) => targets,
          release: async () => undefined,
        }),
      },
    } as unknown as OrtModule;
    expect(await findTargetWriter(returning)).toBeUndefined();
  });
});

describe("a session with results that a state takes", () => {
  it("gives its own outputs alone", async () => {
    const session = await runtime.createSession(momentumModel(), { deviceOutputs });
    expect(session.outputs.map(({ name }) => name)).toEqual(["v.next", "w.next", "loss"]);
    const feeds = { w: floats([2], [1, 2]), v: floats([2], [0, 0]), g: floats([2], [1, 1]) };
    const results = await session.run({ ...feeds, decay: scalar(1), rate: scalar(1) });
    expect(Object.keys(results)).toEqual(["v.next", "w.next", "loss"]);
    await session.close();
  });

  it("returns copies of what the state keeps", async () => {
    const session = await runtime.createSession(momentumModel(), { deviceOutputs });
    const state = await runtime.createState({
      w: floats([2], [1, 2]),
      v: floats([2], [0, 0]),
      decay: scalar(1),
    });
    const call = { feeds: { g: floats([2], [1, 1]), rate: scalar(1) }, fetches: ["w.next", "loss"] };
    const results = await session.step(state, { ...call, next: { w: "w.next", v: "v.next" } });
    expect([...(results["w.next"]!.data as Float32Array)]).toEqual([0, 1]);
    expect([...((await state.read(["w"])).w!.data as Float32Array)]).toEqual([0, 1]);
    await session.close();
    await state.close();
  });
});
