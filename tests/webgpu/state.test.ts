import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Session } from "../../src/runtime/types.js";
import { floats, modelOf, momentumModel, scalar } from "../runtime/models.js";
import { describeState } from "../runtime/state-suite.js";
import { runtime } from "./runtime.js";

const deviceOutputs = ["w.next", "v.next"];
const next = { w: "w.next", v: "v.next" };
const start = () => ({ w: floats([2], [1, -2]), v: floats([2], [0, 0]), decay: scalar(0.5) });
const feeds = { g: floats([2], [1, 2]), rate: scalar(1) };

describe("a state on the device", () => describeState(runtime, { device: "webgpu", deviceOutputs }));

describe("a state whose outputs come to the host", () => describeState(runtime, { device: "webgpu" }));

describe("a state of sessions on several devices", () => {
  let [cpu, gpu] = [] as unknown as [Session, Session];
  beforeAll(async () => {
    cpu = await runtime.createSession(momentumModel(), { device: "cpu" });
    gpu = await runtime.createSession(momentumModel(), { device: "webgpu", deviceOutputs });
  });
  afterAll(() => Promise.all([cpu.close(), gpu.close()]));

  it("follows the recurrence wherever its values lie", async () => {
    const state = await runtime.createState(start());
    const alone = await runtime.createState(start());
    for (const session of [gpu, cpu, cpu, gpu, gpu, cpu]) {
      await session.step(state, { feeds, fetches: [], next });
      await cpu.step(alone, { feeds, fetches: [], next });
      expect(await state.read()).toEqual(await alone.read());
      expect(await state.readPrevious()).toEqual(await alone.readPrevious());
    }
    await state.revert();
    await alone.revert();
    expect(await state.read()).toEqual(await alone.read());
    await state.write({ w: floats([2], [3, 4]) });
    const { loss } = await gpu.step(state, { feeds, fetches: ["loss"], next });
    expect([...(loss!.data as Float32Array)]).toEqual([11]);
    await state.close();
    await alone.close();
  });
});

it("outputs that lie on the device can be fetched", async () => {
  const session = await runtime.createSession(momentumModel(), { device: "webgpu", deviceOutputs });
  const results = await session.run({ ...start(), ...feeds });
  expect(results["w.next"]).toEqual(floats([2], [0, -4]));
  expect(results["v.next"]).toEqual(floats([2], [1, 2]));
  await session.close();
});

it("every dtype is carried to the device and back", async () => {
  const bytes = modelOf((builder) => {
    for (const [name, dtype] of [
      ["x", "float32"],
      ["index", "int64"],
      ["mask", "bool"],
    ] as const) {
      builder.output(`${name}.next`, dtype, [3], builder.node("Identity", [builder.input(name, dtype, [3])]));
    }
  });
  const outputs = ["x.next", "index.next", "mask.next"];
  const session = await runtime.createSession(bytes, { device: "webgpu", deviceOutputs: outputs });
  const values = {
    x: floats([3], [1, -2, 0.5]),
    index: { dtype: "int64", shape: [3], data: BigInt64Array.of(-1n, 2n ** 40n, 3n) },
    mask: { dtype: "bool", shape: [3], data: Uint8Array.of(1, 0, 1) },
  } as const;
  const state = await runtime.createState(values);
  const call = { feeds: {}, fetches: outputs, next: { x: "x.next", index: "index.next", mask: "mask.next" } };
  for (let step = 0; step < 3; step++) {
    const results = await session.step(state, call);
    for (const [name, value] of Object.entries(values)) expect(results[`${name}.next`]).toEqual(value);
    expect(await state.read()).toEqual(values);
  }
  await state.close();
  await session.close();
});
