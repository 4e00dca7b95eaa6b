import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { DeviceError, ShapeError } from "../../src/base/errors.js";
import { callingThreadRuntime } from "../../src/runtime/node.js";
import { floats, incrementModel, modelOf } from "./models.js";
import { runScript } from "./script-process.js";
import { describeState } from "./state-suite.js";

const runtime = callingThreadRuntime();

describe("a state beside sessions of the calling thread", () => describeState(runtime, { device: "cpu" }));

describe("a session of the calling thread", () => {
  it("reads feeds where they lie, of every kind of memory, and leaves them to their owner", async () => {
    const session = await runtime.createSession(incrementModel());
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([5, 6]);
    const arrays = [Float32Array.of(5, 6), Float32Array.of(9, 5, 6, 9).subarray(1, 3), shared];
    for (const data of arrays) {
      for (const transfer of [false, true]) {
        const x: HostTensor = { dtype: "float32", shape: [2], data };
        const { y } = await session.run({ x }, undefined, { transfer });
        expect(y!.data).toEqual(Float32Array.of(6, 7));
        expect([...data]).toEqual([5, 6]);
      }
    }
    await session.close();
  });

  it("answers in the order of the calls, and goes on after one that is refused", async () => {
    const session = await runtime.createSession(incrementModel("n"), { name: "increment" });
    const ended: string[] = [];
    const call = (name: string, promise: Promise<unknown>) =>
      promise.then(
        () => ended.push(name),
        () => ended.push(`${name} refused`),
      );
    const first = session.run({ x: floats([1], [1]) });
    const broken = session.run({ x: floats([2], [1, 2]) }, ["z"]);
    await Promise.all([
      call("first", first),
      call("second", broken),
      call("third", session.run({ x: floats([3], [1, 2, 3]) })),
    ]);
    expect(ended).toEqual(["first", "second refused", "third"]);
    await expect(broken).rejects.toThrow(DeviceError);
    await expect(broken).rejects.toThrow(/increment: output 'z' does not exist/);
    await expect(session.run({ x: { ...floats([1], [1]), shape: [2] } })).rejects.toThrow(ShapeError);
    await session.close();
    await expect(session.run({ x: floats([1], [1]) })).rejects.toThrow(/increment is closed/);
  });

  it("keeps what it returns apart from a state that later steps write over", async () => {
    const model = modelOf((builder) => {
      const x = builder.input("x", "float32", [2]);
      builder.output("next", "float32", [2], builder.node("Add", [x, x]));
    });
    const session = await runtime.createSession(model, { deviceOutputs: ["next"] });
    const given = floats([2], [1, 2]);
    const state = await runtime.createState({ x: given });
    const step = () =>
      session.step(state, { feeds: {}, fetches: ["next"], next: { x: "next" }, overwrites: ["x"] });
    const results = [await step(), await step()];
    const read = await state.read();
    await step();
    expect(results.map(({ next }) => [...next!.data])).toEqual([
      [2, 4],
      [4, 8],
    ]);
    expect([...read.x!.data]).toEqual([4, 8]);
    expect([...given.data]).toEqual([1, 2]);
    await state.close();
    await session.close();
  });
});

it("no thread is started, and the process ends by itself with sessions open", async () => {
  const { code, out, err } = await runScript(`
    import { readdirSync } from "node:fs";
    import { callingThreadRuntime } from ${JSON.stringify(new URL("../../src/runtime/node.ts", import.meta.url).href)};
    const ports = () => process.getActiveResourcesInfo().filter((name) => name === "MessagePort").length;
    const before = ports();
    const session = await callingThreadRuntime().createSession(incrementModel());
    const { y } = await session.run({ x: floats([2], [1, 2]) });
    console.log([...y.data].join(), ports() - before);
    const other = await nodeRuntime().createSession(incrementModel());
    void other.run({ x: floats([2], [1, 2]) });
    console.log(ports() - before);
  `);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toBe("2,3 0\n1\n");
});
