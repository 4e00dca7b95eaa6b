import { afterAll, beforeAll, expect, it } from "vitest";
import { DeviceError, ShapeError } from "../../src/base/errors.js";
import type { Runtime, Session, SessionOptions, StateStore } from "../../src/runtime/types.js";
import { floats, incrementModel, modelOf, momentumModel, scalar } from "./models.js";

const next = { w: "w.next", v: "v.next" };

/** The recurrence of `momentumModel` in float32. */
function momentum(
  steps: number,
  rate: number,
  gradient: (step: number) => number[],
): { w: number[]; v: number[] } {
  let w = [1, -2];
  let v = [0, 0];
  for (let step = 0; step < steps; step++) {
    const g = gradient(step);
    v = v.map((value, i) => Math.fround(Math.fround(value * 0.5) + g[i]!));
    w = w.map((value, i) => Math.fround(value - Math.fround(v[i]! * Math.fround(rate))));
  }
  return { w, v };
}

const start = () => ({
  w: floats([2], [1, -2]),
  v: floats([2], [0, 0]),
  decay: scalar(0.5),
  extra: scalar(7),
});
const gradient = (step: number) => [Math.fround(Math.sin(step)), Math.fround(Math.cos(step))];

/** What a state store does, whatever the device of the sessions that step over it. */
export function describeState(runtime: Runtime, options: SessionOptions): void {
  let session: Session;
  let state: StateStore;

  beforeAll(async () => {
    session = await runtime.createSession(momentumModel(), { ...options, name: "momentum" });
  });
  afterAll(() => session.close());

  const values = async (names: string[], previous = false) => {
    const tensors = await (previous ? state.readPrevious(names) : state.read(names));
    return names.map((name) => [...(tensors[name]!.data as Float32Array)]);
  };
  const step = (index: number, rate = 0.1) =>
    session.step(state, {
      feeds: { g: floats([2], gradient(index)), rate: scalar(rate) },
      fetches: ["loss"],
      next,
    });

  it("follows the recurrence over many steps", async () => {
    state = await runtime.createState(start());
    const losses: number[] = [];
    for (let i = 0; i < 25; i++) {
      const result = await step(i);
      expect(Object.keys(result)).toEqual(["loss"]);
      losses.push((result.loss!.data as Float32Array)[0]!);
      const { w, v } = momentum(i + 1, 0.1, gradient);
      expect(await values(["w", "v"])).toEqual([w, v]);
    }
    const { w } = momentum(24, 0.1, gradient);
    const g = gradient(24);
    expect(losses.at(-1)).toBeCloseTo(w[0]! * g[0]! + w[1]! * g[1]!, 6);
    // States that the step only reads, or that the model does not have, keep their values.
    expect(await values(["decay", "extra"])).toEqual([[0.5], [7]]);
    await state.close();
  });

  it("queues steps that are not awaited", async () => {
    state = await runtime.createState(start());
    await Promise.all(Array.from({ length: 10 }, (_, i) => step(i)));
    const { w, v } = momentum(10, 0.1, gradient);
    expect(await values(["w", "v"])).toEqual([w, v]);
    await state.close();
  });

  it("keeps the values before the last step, and reverts to them", async () => {
    state = await runtime.createState(start());
    await expect(state.revert()).rejects.toThrow(DeviceError);
    for (let i = 0; i < 3; i++) await step(i);
    const before = await values(["w", "v", "decay"]);
    await step(3, Number.NaN);
    expect((await values(["w"]))[0]).toEqual([Number.NaN, Number.NaN]);
    expect(await values(["w", "v", "decay"], true)).toEqual(before);
    await state.revert();
    expect(await values(["w", "v", "decay"])).toEqual(before);
    expect(await values(["w", "v", "decay"], true)).toEqual(before);
    await expect(state.revert()).rejects.toThrow(/no last step/);
    await step(3);
    const { w, v } = momentum(4, 0.1, gradient);
    expect(await values(["w", "v"])).toEqual([w, v]);
    await state.close();
  });

  it("carries states over that a step does not write, whichever set they are in", async () => {
    state = await runtime.createState(start());
    const feeds = (index: number) => ({ g: floats([2], gradient(index)), rate: scalar(0.1) });
    await step(0);
    const first = momentum(1, 0.1, gradient);
    await session.step(state, { feeds: feeds(1), fetches: [], next: { v: "v.next" } });
    const second = momentum(2, 0.1, gradient);
    expect(await values(["w", "v"])).toEqual([first.w, second.v]);
    expect(await values(["w", "v"], true)).toEqual([first.w, first.v]);
    await state.revert();
    expect(await values(["w", "v"])).toEqual([first.w, first.v]);
    // A step that writes nothing evaluates.
    const { loss } = await session.step(state, { feeds: feeds(1), fetches: ["loss"], next: {} });
    expect(loss!.shape).toEqual([]);
    expect(await values(["w", "v"])).toEqual([first.w, first.v]);
    await step(1);
    expect(await values(["w", "v"])).toEqual([momentum(2, 0.1, gradient).w, second.v]);
    await state.close();
  });

  it("returns an output that also becomes a state, as a copy", async () => {
    state = await runtime.createState(start());
    const call = { feeds: { g: floats([2], [1, 2]), rate: scalar(1) }, fetches: ["w.next"], next };
    const { "w.next": result } = await session.step(state, call);
    expect([...(result!.data as Float32Array)]).toEqual([0, -4]);
    result!.data.fill(9 as never);
    expect(await values(["w"])).toEqual([[0, -4]]);
    await state.close();
  });

  it("copies what it is made of, and what it returns", async () => {
    const initial = start();
    state = await runtime.createState(initial);
    expect(initial.w.data.length).toBe(2);
    initial.w.data.fill(9 as never);
    const { w } = await state.read(["w"]);
    expect([...(w!.data as Float32Array)]).toEqual([1, -2]);
    w!.data.fill(9 as never);
    expect(await values(["w"])).toEqual([[1, -2]]);
    expect(Object.keys(await state.read())).toEqual(["w", "v", "decay", "extra"]);
    await state.close();
  });

  it("can be written, all or nothing, after which the last step is final", async () => {
    state = await runtime.createState(start());
    await step(0);
    await expect(state.write({ w: floats([2], [5, 6]), v: floats([3], [1, 2, 3]) })).rejects.toThrow(
      /state 'v'.*\[3\]; expected float32 \[2\]/,
    );
    await expect(state.write({ w: floats([2], [5, 6]), z: scalar(1) })).rejects.toThrow(
      /state 'z' does not exist/,
    );
    expect(await values(["w"])).toEqual([momentum(1, 0.1, gradient).w]);
    await state.write({ w: floats([2], [5, 6]) });
    expect(await values(["w"])).toEqual([[5, 6]]);
    await expect(state.revert()).rejects.toThrow(DeviceError);
    await state.close();
  });

  it("is as before when a step fails", async () => {
    state = await runtime.createState(start());
    await step(0);
    const before = await values(["w", "v"]);
    const g = floats([2], [1, 1]);
    const rate = scalar(0.1);
    const feeds = { g, rate };
    const refused: [Parameters<Session["step"]>[1], new (message: string) => Error, RegExp][] = [
      [{ feeds: { g: scalar(1), rate }, fetches: [], next }, ShapeError, /momentum: input 'g'/],
      [{ feeds: { g }, fetches: [], next }, DeviceError, /nothing is fed to input 'rate'/],
      [{ feeds: { ...feeds, q: g }, fetches: [], next }, DeviceError, /input 'q'/],
      [{ feeds: { ...feeds, w: g }, fetches: [], next }, DeviceError, /input 'w' is fed and is a state/],
      [{ feeds, fetches: ["q"], next }, DeviceError, /output 'q'/],
      [{ feeds, fetches: [], next: { q: "w.next" } }, DeviceError, /state 'q'/],
      [{ feeds, fetches: [], next: { w: "q" } }, DeviceError, /output 'q'/],
      [{ feeds, fetches: [], next: { w: "loss" } }, ShapeError, /state 'w', written by output 'loss'/],
      [{ feeds, fetches: [], next: { w: "w.next", v: "w.next" } }, DeviceError, /next value of two states/],
    ];
    for (const [call, type, message] of refused) {
      const error = await session.step(state, call).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(type);
      expect((error as Error).message).toMatch(message);
    }
    expect(await values(["w", "v"])).toEqual(before);
    await state.revert();
    expect(await values(["w"])).toEqual([[1, -2]]);
    await state.close();
  });

  it("can be shared by sessions", async () => {
    state = await runtime.createState(start());
    const evaluation = await runtime.createSession(
      modelOf((builder) =>
        builder.output("y", "float32", [2], builder.node("Neg", [builder.input("w", "float32", [2])])),
      ),
      { ...options, deviceOutputs: [] },
    );
    await step(0);
    const { y } = await evaluation.step(state, { feeds: {}, fetches: ["y"], next: {} });
    expect([...(y!.data as Float32Array)]).toEqual(momentum(1, 0.1, gradient).w.map((value) => -value));
    await evaluation.close();
    await state.close();
  });

  it("refuses a state that does not fit the model", async () => {
    const wrong = await runtime.createState({ ...start(), v: floats([3], [0, 0, 0]) });
    const call = { feeds: { g: floats([2], [1, 1]), rate: scalar(1) }, fetches: [], next };
    await expect(session.step(wrong, call)).rejects.toThrow(ShapeError);
    await expect(session.step(wrong, call)).rejects.toThrow(/state 'v' is float32 \[3\]/);
    await wrong.close();
    await expect(runtime.createState({ w: { ...scalar(1), data: new Float32Array(2) } })).rejects.toThrow(
      /state 'w'/,
    );
  });

  it("can be closed again, and refuses everything else then", async () => {
    state = await runtime.createState(start());
    await state.close();
    await state.close();
    for (const promise of [state.read(), state.readPrevious(), state.write({}), state.revert(), step(0)]) {
      await expect(promise).rejects.toThrow(DeviceError);
    }
    const other = await runtime.createSession(incrementModel(), { ...options, deviceOutputs: [] });
    await other.close();
    const open = await runtime.createState(start());
    await expect(other.step(open, { feeds: {}, fetches: [], next: {} })).rejects.toThrow(DeviceError);
    await open.close();
  });
}
