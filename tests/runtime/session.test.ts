import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { HostTensor } from "../../src/base/dtype.js";
import { DeviceError, OptionError, ShapeError } from "../../src/base/errors.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { doubleModel, floats, heavyModel, incrementModel, modelOf } from "./models.js";

const runtime = nodeRuntime();

describe("a session", () => {
  it("tells its inputs and outputs and runs", async () => {
    const session = await runtime.createSession(incrementModel("batch"));
    expect(session.inputs).toEqual([{ name: "x", dtype: "float32", shape: ["batch"] }]);
    expect(session.outputs).toEqual([{ name: "y", dtype: "float32", shape: ["batch"] }]);
    expect(await session.run({ x: floats([3], [1, 2, 3]) })).toEqual({ y: floats([3], [2, 3, 4]) });
    await session.close();
  });

  it("carries every dtype both ways", async () => {
    const bytes = modelOf((builder) => {
      const x = builder.input("x", "int64", [2]);
      const mask = builder.input("mask", "bool", [2]);
      builder.output("not", "bool", [2], builder.node("Not", [mask]));
      builder.output("neg", "int64", [2], builder.node("Neg", [x]));
    });
    const session = await runtime.createSession(bytes);
    const feeds: Record<string, HostTensor> = {
      x: { dtype: "int64", shape: [2], data: BigInt64Array.of(2n ** 60n, -1n) },
      mask: { dtype: "bool", shape: [2], data: Uint8Array.of(0, 1) },
    };
    expect(await session.run(feeds)).toEqual({
      not: { dtype: "bool", shape: [2], data: Uint8Array.of(1, 0) },
      neg: { dtype: "int64", shape: [2], data: BigInt64Array.of(-(2n ** 60n), 1n) },
    });
    expect(Object.keys(await session.run(feeds, ["neg"]))).toEqual(["neg"]);
    await session.close();
  });

  it("hands the model over when asked", async () => {
    const [kept, moved] = [incrementModel(), incrementModel()];
    const sessions = [
      await runtime.createSession(kept),
      await runtime.createSession(moved, {}, { transfer: true }),
    ];
    expect(kept.length).toBeGreaterThan(0);
    expect(moved.length).toBe(0);
    for (const session of sessions) {
      expect((await session.run({ x: floats([2], [1, 2]) })).y!.data).toEqual(Float32Array.of(2, 3));
      await session.close();
    }
  });

  it("reads each call's own feeds, whatever memory their copies are in", async () => {
    const session = await runtime.createSession(incrementModel("batch"));
    const feed = (length: number, value: number) => ({
      x: { dtype: "float32", shape: [length], data: new Float32Array(length).fill(value) } as const,
    });
    const long = 2 ** 16;
    const calls = [
      [long, 1],
      [long, 2],
      [long + 1, 3],
      [long, 4],
    ] as const;
    const check = async (length: number, value: number) => {
      const fed = feed(length, value);
      const { y } = await session.run(fed);
      expect(y!.data).toEqual(new Float32Array(length).fill(value + 1));
      expect(fed.x.data).toEqual(new Float32Array(length).fill(value));
    };
    for (const [length, value] of calls) await check(length, value);
    await Promise.all(calls.map(([length, value]) => check(length, value)));
    await session.close();
  });

  it("copies feeds, also views, and transfers them when asked", async () => {
    const session = await runtime.createSession(incrementModel());
    const whole = Float32Array.of(9, 5, 6, 9);
    const view: HostTensor = { dtype: "float32", shape: [2], data: whole.subarray(1, 3) };
    expect((await session.run({ x: view })).y!.data).toEqual(Float32Array.of(6, 7));
    expect((await session.run({ x: view }, undefined, { transfer: true })).y!.data).toEqual(
      Float32Array.of(6, 7),
    );
    expect(whole).toEqual(Float32Array.of(9, 5, 6, 9));
    const shared: HostTensor = {
      dtype: "float32",
      shape: [2],
      data: new Float32Array(new SharedArrayBuffer(8)),
    };
    expect((await session.run({ x: shared }, undefined, { transfer: true })).y!.data).toEqual(
      Float32Array.of(1, 1),
    );
    const own = floats([2], [1, 2]);
    await session.run({ x: own });
    expect(own.data.length).toBe(2);
    expect((await session.run({ x: own }, undefined, { transfer: true })).y!.data).toEqual(
      Float32Array.of(2, 3),
    );
    expect(own.data.length).toBe(0);
    await session.close();
  });

  it("keeps a refused feed's array", async () => {
    const session = await runtime.createSession(incrementModel());
    const wrong = floats([3], [1, 2, 3]);
    await expect(session.run({ x: wrong }, undefined, { transfer: true })).rejects.toThrow(ShapeError);
    expect(wrong.data.length).toBe(3);
    await session.close();
  });

  it("refuses what does not fit, by name", async () => {
    const session = await runtime.createSession(incrementModel(), { name: "increment" });
    const x = floats([2], [1, 2]);
    const cases: [Promise<unknown>, typeof ShapeError | typeof DeviceError, RegExp][] = [
      [
        session.run({ x: floats([3], [1, 2, 3]) }),
        ShapeError,
        /increment: input 'x' is float32 \[3\]; expected float32 \[2\]/,
      ],
      [session.run({ x: floats([1, 2], [1, 2]) }), ShapeError, /input 'x'.*\[1, 2\]/],
      [
        session.run({ x: { dtype: "int64", shape: [2], data: BigInt64Array.of(1n, 2n) } }),
        ShapeError,
        /input 'x' is int64/,
      ],
      [
        session.run({ x: { ...x, data: Float32Array.of(1) } }),
        ShapeError,
        /input 'x'.*1 elements; expected 2/,
      ],
      [
        session.run({ x: { ...x, data: new Uint8Array(2) } }),
        ShapeError,
        /input 'x'.*Uint8Array; expected a Float32Array/,
      ],
      [session.run({ x, z: x }), DeviceError, /input 'z' does not exist; there are: x/],
      [session.run({}), DeviceError, /nothing is fed to input 'x'/],
      [session.run({ x }, ["z"]), DeviceError, /output 'z' does not exist; there are: y/],
    ];
    for (const [promise, type, message] of cases) {
      const error = await promise.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(type);
      expect((error as Error).message).toMatch(message);
    }
    expect((await session.run({ x })).y!.data).toEqual(Float32Array.of(2, 3));
    await session.close();
  });

  it("reports what ONNX Runtime refuses as a DeviceError", async () => {
    await expect(runtime.createSession(Uint8Array.of(1, 2, 3), { name: "broken" })).rejects.toThrow(
      DeviceError,
    );
    await expect(runtime.createSession(Uint8Array.of(1, 2, 3), { name: "broken" })).rejects.toThrow(
      /^broken: the model/,
    );
    const session = await runtime.createSession(
      modelOf((builder) => {
        const a = builder.input("a", "float32", ["n"]);
        const b = builder.input("b", "float32", ["m"]);
        builder.output("y", "float32", ["k"], builder.node("Add", [a, b]));
      }),
      { name: "sum" },
    );
    const failing = session.run({ a: floats([2], [1, 2]), b: floats([3], [1, 2, 3]) });
    await expect(failing).rejects.toThrow(DeviceError);
    await expect(failing).rejects.toThrow(/^sum: /);
    await session.close();
  });

  it("refuses types that graphs do not have", async () => {
    await expect(runtime.createSession(doubleModel())).rejects.toThrow(/'y' has type float64/);
  });

  it("checks its options", async () => {
    const bytes = incrementModel();
    await expect(runtime.createSession(bytes, { device: "tpu" })).rejects.toThrow(
      /'tpu' is unknown; known are: cpu, wasm, webgpu, cuda, auto/,
    );
    await expect(runtime.createSession(bytes, { device: "tpu" })).rejects.toThrow(DeviceError);
    await expect(runtime.createSession(bytes, { device: "wasm" })).rejects.toThrow(/in Node.js use 'cpu'/);
    await expect(runtime.createSession(bytes, { placement: true, profile: "p" })).rejects.toThrow(
      OptionError,
    );
    await expect(runtime.createSession(bytes, { threads: 0 })).rejects.toThrow(OptionError);
    await expect(runtime.createSession(bytes, { graphOptimizationLevel: "most" as "all" })).rejects.toThrow(
      /disabled, basic/,
    );
    const options = {
      threads: 1,
      graphOptimizationLevel: "basic",
      spinning: false,
      prepacking: false,
    } as const;
    const session = await runtime.createSession(bytes, options);
    expect((await session.run({ x: floats([2], [0, 1]) })).y!.data).toEqual(Float32Array.of(1, 2));
    await session.close();
  });

  it("answers requests in the order in which they were made", async () => {
    const session = await runtime.createSession(heavyModel(64, 4));
    const order: number[] = [];
    const x = floats([64, 64], new Float32Array(64 * 64));
    const runs = [0, 1, 2, 3].map((i) => session.run({ x }).then(() => order.push(i)));
    const closing = session.close().then(() => order.push(4));
    await Promise.all([...runs, closing]);
    expect(order).toEqual([0, 1, 2, 3, 4]);
  });

  it("can be closed again, and refuses to run then", async () => {
    const session = await runtime.createSession(incrementModel(), { name: "increment" });
    await session.close();
    await session.close();
    await expect(session.run({ x: floats([2], [1, 2]) })).rejects.toThrow(DeviceError);
    await expect(session.run({ x: floats([2], [1, 2]) })).rejects.toThrow("increment is closed");
    await expect(session.endProfiling!()).rejects.toThrow(DeviceError);
  });

  it("writes a profile", async () => {
    const folder = await mkdtemp(join(tmpdir(), "fovea-profile-"));
    try {
      const session = await runtime.createSession(incrementModel(), { profile: join(folder, "run") });
      await session.run({ x: floats([2], [1, 2]) });
      const file = await session.endProfiling!();
      expect(file.startsWith(join(folder, "run"))).toBe(true);
      const events = JSON.parse(await readFile(file, "utf8")) as { name: string }[];
      expect(events.some(({ name }) => name.includes("Add_0"))).toBe(true);
      await session.close();
      const other = await runtime.createSession(incrementModel());
      await expect(other.endProfiling!()).rejects.toThrow(/without a profile/);
      await other.close();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("leaves the main thread responsive", async () => {
    const size = 512;
    const session = await runtime.createSession(heavyModel(size, 60));
    const x = floats(
      [size, size],
      Float32Array.from({ length: size * size }, (_, i) => Math.sin(i)),
    );
    await session.run({ x });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    const start = performance.now();
    let runs = 0;
    while (performance.now() - start < 600) {
      await session.run({ x }, ["y"]);
      runs++;
    }
    clearInterval(timer);
    // On one thread the timer would fire once a run at most.
    expect(ticks).toBeGreaterThan(2 * runs);
    await session.close();
  });
});

describe("info", () => {
  it("tells version, threads and devices with reasons", async () => {
    const info = await runtime.info();
    expect(info.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(info.providers).toContain("cpu");
    expect(info.threads).toBeGreaterThan(0);
    expect(info.devices.map(({ device }) => device)).toEqual(["cpu", "webgpu", "cuda"]);
    expect(info.devices[0]).toEqual({ device: "cpu", available: true });
    for (const device of info.devices) {
      if (!device.available) expect(device.reason).toMatch(/provider|adapter|driver|needs/);
    }
    expect((await runtime.info({ devices: false })).devices).toEqual([]);
  });
});

describe("a device", () => {
  it("is told with the reason", async () => {
    const session = await runtime.createSession(incrementModel());
    expect(session.placedOn).toEqual({ device: "cpu", reason: "as requested" });
    expect(session.threads).toBe((await runtime.info({ devices: false })).threads);
    await session.close();
    const { device, reason } = await runtime.resolveDevice("auto");
    expect(["cpu", "cuda"]).toContain(device);
    expect(reason).toMatch(/webgpu/);
    await expect(runtime.resolveDevice("tpu")).rejects.toThrow(DeviceError);
  });

  it("is named with the remedy where it is not there", async () => {
    const missing = (await runtime.info()).devices.filter(({ available }) => !available);
    for (const { device } of missing) {
      const creating = runtime.createSession(incrementModel(), { name: "increment", device });
      await expect(creating).rejects.toThrow(DeviceError);
      await expect(creating).rejects.toThrow(`increment: device '${device}' is not available: `);
    }
  });

  it("is told node by node", async () => {
    const session = await runtime.createSession(incrementModel(), { placement: true });
    await expect(session.placement()).rejects.toThrow(/not run yet/);
    const x = floats([2], [1, 2]);
    await session.run({ x });
    const placement = { nodes: { cpu: 1 }, fallbacks: {}, copies: 0 };
    expect(await session.placement()).toEqual(placement);
    await session.run({ x });
    expect(await session.placement()).toEqual(placement);
    await session.close();
    const other = await runtime.createSession(incrementModel());
    await other.run({ x });
    await expect(other.placement()).rejects.toThrow(/without the option placement/);
    await other.close();
  });
});
