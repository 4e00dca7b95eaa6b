import { describe, expect, it } from "vitest";
import { fillBernoulli } from "../../src/base/bernoulli.js";
import type { HostTensor } from "../../src/base/dtype.js";
import { OptionError, ShapeError } from "../../src/base/errors.js";
import { fillNormal, fillUniform } from "../../src/base/random.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { floats, modelOf, scalar } from "./models.js";
import { describeState } from "./state-suite.js";

const runtime = nodeRuntime();

describe("a state", () => describeState(runtime, { device: "cpu" }));

it("states that a step writes over stay where they are, and are not reverted", async () => {
  const session = await runtime.createSession(
    modelOf((builder) => {
      for (const name of ["over", "apart"]) {
        const x = builder.input(name, "float32", [3]);
        builder.output(`next:${name}`, "float32", [3], builder.node("Add", [x, x]));
      }
    }),
    { deviceOutputs: ["next:over", "next:apart"] },
  );
  const state = await runtime.createState({ over: floats([3], [1, 2, 3]), apart: floats([3], [1, 2, 3]) });
  const step = () =>
    session.step(state, {
      feeds: {},
      fetches: ["next:over"],
      next: { over: "next:over", apart: "next:apart" },
      overwrites: ["over"],
    });
  const values = async (read: () => Promise<Record<string, HostTensor>>) =>
    Object.fromEntries(Object.entries(await read()).map(([name, { data }]) => [name, [...data]]));
  await step();
  const fetched = (await step())["next:over"]!;
  expect([...fetched.data]).toEqual([4, 8, 12]);
  expect(await values(() => state.read())).toEqual({ over: [4, 8, 12], apart: [4, 8, 12] });
  expect(await values(() => state.readPrevious())).toEqual({ over: [4, 8, 12], apart: [2, 4, 6] });
  await state.revert();
  expect(await values(() => state.read())).toEqual({ over: [4, 8, 12], apart: [2, 4, 6] });
  await step();
  expect(await values(() => state.read())).toEqual({ over: [8, 16, 24], apart: [4, 8, 12] });
  // What was fetched is a copy.
  expect([...fetched.data]).toEqual([4, 8, 12]);
  await state.close();
  await session.close();
});

describe("noise", () => {
  it("is drawn by seed, stream and step", async () => {
    const session = await runtime.createSession(
      modelOf((builder) => {
        const a = builder.input("a", "float32", [2, 3]);
        const b = builder.input("b", "float32", ["n"]);
        builder.output("outA", "float32", [2, 3], a);
        builder.output("outB", "float32", ["n"], b);
        builder.output("outC", "bool", [5], builder.input("c", "bool", [5]));
      }),
    );
    const state = await runtime.createState({});
    const noise = [
      { name: "a", shape: [2, 3], distribution: "uniform", stream: "drop" },
      { name: "b", shape: [4], distribution: "normal", stream: "sample" },
      { name: "c", shape: [5], distribution: { bernoulli: 0.5 }, stream: "keep" },
    ] as const;
    const call = { feeds: {}, fetches: ["outA", "outB", "outC"], next: {}, noise };
    const draw = async (seed: number, step: number) => {
      const { outA, outB, outC } = await session.step(state, { ...call, seed, step });
      return [outA!.data, outB!.data, outC!.data];
    };
    const expected = (seed: number, step: number) => {
      const a = new Float32Array(6);
      const b = new Float32Array(4);
      fillUniform(a, { seed, stream: "drop", step });
      fillNormal(b, { seed, stream: "sample", step });
      const c = new Uint8Array(5);
      fillBernoulli(c, { seed, stream: "keep", step }, 0.5);
      return [a, b, c];
    };
    for (const [seed, step] of [
      [1, 0],
      [1, 1],
      [2, 0],
      [1, 0],
    ] as const) {
      expect(await draw(seed, step)).toEqual(expected(seed, step));
    }
    await expect(session.step(state, { ...call, step: 0 })).rejects.toThrow(OptionError);
    await expect(session.step(state, { ...call, seed: 0 })).rejects.toThrow(/step/);
    const keyed = { ...call, seed: 0, step: 0 };
    const other = (name: string, shape: number[]) => [
      { name, shape, distribution: "normal", stream: "s" } as const,
    ];
    await expect(session.step(state, { ...keyed, noise: other("q", [4]) })).rejects.toThrow(/input 'q'/);
    await expect(session.step(state, { ...keyed, noise: other("a", [4]) })).rejects.toThrow(ShapeError);
    const feeds: Record<string, HostTensor> = { b: scalar(1) };
    await expect(session.step(state, { ...keyed, feeds })).rejects.toThrow(ShapeError);
    await expect(session.step(state, { ...keyed, feeds: { b: floats([1], [1]) } })).rejects.toThrow(
      /fed as well/,
    );
    await state.close();
    await session.close();
  });
});
