import { InferenceSession, Tensor } from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { DeviceError, FoveaError, OptionError, ShapeError } from "../../src/base/errors.js";
import { RemoteRuntime } from "../../src/runtime/client.js";
import { FeedMemory } from "../../src/runtime/feed-memory.js";
import { nodeRuntime } from "../../src/runtime/node.js";
import { startWorker } from "../../src/runtime/node-connection.js";
import { nodeHost } from "../../src/runtime/node-host.js";
import type { NodeOrtModule } from "../../src/runtime/node-ort.js";
import { nodePlatform } from "../../src/runtime/node-platform.js";
import { type Port, RequestClient, serveRequests } from "../../src/runtime/protocol.js";
import { SessionHost } from "../../src/runtime/session-host.js";
import { doubleModel, floats, heavyModel, incrementModel } from "./models.js";
import { runScript } from "./script-process.js";

/** Two connected ends that deliver in later turns, as ports do. */
function channel(): [Port, Port] {
  const listeners: ((message: unknown) => void)[][] = [[], []];
  const end = (own: number): Port => ({
    post: (message, transfer) => {
      const clone: unknown = structuredClone(message, { transfer: [...transfer] });
      setImmediate(() => {
        for (const listener of listeners[1 - own]!) listener(clone);
      });
    },
    listen: (listener) => listeners[own]!.push(listener),
  });
  return [end(0), end(1)];
}

/** A runtime in this thread whose ONNX Runtime cannot be loaded. */
function brokenRuntime(reason: Error): RemoteRuntime {
  const [near, far] = channel();
  serveRequests(far, new SessionHost(nodePlatform(() => Promise.reject(reason))));
  const client = new RequestClient(near);
  return new RemoteRuntime(() => client);
}

describe("without onnxruntime-node", () => {
  const runtime = brokenRuntime(new Error("Cannot find package 'onnxruntime-node'"));

  it("names the remedy", async () => {
    const promise = runtime.createSession(incrementModel());
    await expect(promise).rejects.toThrow(DeviceError);
    await expect(promise).rejects.toThrow(
      /Cannot find package.*npm install onnxruntime-node.*ONNXRUNTIME_NODE_INSTALL=skip/,
    );
  });

  it("still tells why no device is available", async () => {
    const info = await runtime.info();
    expect(info).toMatchObject({ version: undefined, providers: [] });
    expect(info.devices).toHaveLength(3);
    for (const device of info.devices)
      expect(device).toMatchObject({ available: false, reason: /npm install/ });
  });
});

describe("the host", () => {
  /** An ONNX Runtime that counts the sessions that are loaded. */
  class CountingOrt implements NodeOrtModule {
    readonly Tensor = Tensor;
    readonly env = { versions: { common: "0" } };
    readonly listSupportedBackends = () => [{ name: "cpu", bundled: true }];
    loaded = 0;
    readonly InferenceSession = {
      create: async (model: Uint8Array): Promise<InferenceSession> => {
        const session = await InferenceSession.create(model);
        const release = session.release.bind(session);
        session.release = async () => {
          this.loaded--;
          await release();
        };
        this.loaded++;
        return session;
      },
    };
  }

  const hostOf = (ort: NodeOrtModule) => new SessionHost(nodePlatform(async () => ort));

  it("releases sessions that are closed", async () => {
    const ort = new CountingOrt();
    const host = hostOf(ort);
    const first = await host.createSession({ model: incrementModel(), options: {} });
    const second = await host.createSession({ model: incrementModel(), options: {} });
    expect(ort.loaded).toBe(2);
    await host.closeSession({ session: first.id });
    expect(ort.loaded).toBe(1);
    await expect(host.closeSession({ session: first.id })).rejects.toThrow(DeviceError);
    await host.closeSession({ session: second.id });
    expect(ort.loaded).toBe(0);
  });

  it("releases sessions of models that it refuses", async () => {
    const ort = new CountingOrt();
    await expect(hostOf(ort).createSession({ model: doubleModel(), options: {} })).rejects.toThrow(/float64/);
    expect(ort.loaded).toBe(0);
  });
});

describe("several sessions", () => {
  it("compute one at a time, and leave the cores to each other in between", async () => {
    const options: InferenceSession.SessionOptions[] = [];
    let running = 0;
    let most = 0;
    const ort: NodeOrtModule = {
      Tensor,
      env: { versions: { common: "0" } },
      listSupportedBackends: () => [{ name: "cpu", bundled: true }],
      InferenceSession: {
        create: async (model, given) => {
          options.push(given);
          const session = await InferenceSession.create(model, given);
          const run = session.run.bind(session);
          session.run = (async (...call: Parameters<typeof run>) => {
            most = Math.max(most, ++running);
            try {
              const results = await run(...call);
              await new Promise((resolve) => setImmediate(resolve));
              return results;
            } finally {
              running--;
            }
          }) as typeof run;
          return session;
        },
      },
    };
    const [near, far] = channel();
    serveRequests(far, new SessionHost(nodePlatform(async () => ort)));
    const client = new RequestClient(near);
    const runtime = new RemoteRuntime(() => client);
    const choices = [{}, {}, { deviceOutputs: ["y"] }, { spinning: true }, { spinning: false }];
    const sessions = await Promise.all(
      choices.map((choice) => runtime.createSession(incrementModel(), { name: "one of several", ...choice })),
    );
    const runs = sessions
      .flatMap((session) => [session, session])
      .map((session) => session.run({ x: floats([2], [1, 2]) }));
    for (const { y } of await Promise.all(runs)) expect(y).toEqual(floats([2], [2, 3]));
    expect(most).toBe(1);
    // Besides those that try out the runtime.
    const ours = options.filter(({ logId }) => logId === "one of several");
    const stops = ours.map(
      ({ extra }) => (extra as { session: Record<string, unknown> }).session.force_spinning_stop,
    );
    expect(stops).toEqual(["0", "1", "1", "0", "1"]);
    await Promise.all(sessions.map((session) => session.close()));
  });
});

describe("requests", () => {
  it("leave no feed behind in shared memory, answered or refused", async () => {
    const [near, far] = channel();
    serveRequests(far, nodeHost());
    const feedMemory = new FeedMemory(3 * 2 ** 15);
    const client = new RequestClient(near, { feedMemory });
    const runtime = new RemoteRuntime(() => client);
    const session = await runtime.createSession(incrementModel("n"));
    const length = 2 ** 13;
    const feed = (value: number) => floats([length], new Float32Array(length).fill(value));
    const values = [1, 2, 3, 4, 5];
    const results = await Promise.all([
      ...values.map((value) => session.run({ x: feed(value) })),
      session.run({ x: feed(0) }, ["z"]).catch(() => undefined),
    ]);
    expect(results.map((result) => result?.y?.data[length - 1])).toEqual([2, 3, 4, 5, 6, undefined]);
    const whole = floats([3 * length], new Float32Array(3 * length));
    expect(feedMemory.copyOf(whole)?.byteOffset).toBe(0);
    await session.close();
  });

  it("carry errors over with their class", async () => {
    const [near, far] = channel();
    const errors: Error[] = [new ShapeError("a"), new OptionError("b"), new TypeError("c")];
    const host = new SessionHost({
      ...nodePlatform(() => Promise.reject(new DeviceError("none"))),
      load: () => Promise.reject(errors.shift()!),
    });
    serveRequests(far, host);
    const client = new RequestClient(near);
    const ask = () =>
      client.call("createSession", { model: incrementModel(), options: {} }).then(
        () => undefined,
        (reason: unknown) => reason as Error,
      );
    expect(await ask()).toEqual(new ShapeError("a"));
    expect(await ask()).toBeInstanceOf(OptionError);
    const last = await ask();
    expect(last).toBeInstanceOf(FoveaError);
    expect(last!.message).toBe("TypeError: c");
  });

  it("tell when the first is under way and when none is left", async () => {
    const [near, far] = channel();
    const log: string[] = [];
    serveRequests(far, new SessionHost(nodePlatform(() => Promise.reject(new DeviceError("none")))));
    const client = new RequestClient(near, {
      onBusy: () => log.push("busy"),
      onIdle: () => log.push("idle"),
    });
    const ask = () => client.call("info", { devices: false });
    await Promise.all([ask(), ask()]);
    await ask();
    expect(log).toEqual(["busy", "idle", "busy", "idle"]);
  });
});

describe("a worker that ends", () => {
  it("rejects what is under way and what follows, and lets go of its sessions", async () => {
    const { worker, client, gate } = startWorker();
    const runtime = new RemoteRuntime(() => client);
    const size = 384;
    const session = await runtime.createSession(heavyModel(size, 200));
    const state = await runtime.createState({ w: floats([1], [1]) });
    const x = floats([size, size], new Float32Array(size * size).fill(0.001));
    const pending = [session.run({ x }), session.run({ x }), state.read()];
    const outcome = Promise.allSettled(pending);
    // The first run may come to its end.
    gate.close(60_000);
    await worker.terminate();
    for (const { status, reason } of (await outcome).slice(1) as PromiseRejectedResult[]) {
      expect(status).toBe("rejected");
      expect(reason).toBeInstanceOf(DeviceError);
      expect(String(reason)).toMatch(/has ended/);
    }
    await expect(session.run({ x })).rejects.toThrow(DeviceError);
    await session.close();
    await state.close();
    // A state cannot be used with sessions of another worker.
    const other = await nodeRuntime().createSession(incrementModel());
    await expect(other.step(state, { feeds: {}, fetches: [], next: {} })).rejects.toThrow(DeviceError);
    await other.close();
  });
});

describe("the process", () => {
  it("ends by itself, with sessions closed or left open", async () => {
    for (const ending of ["await session.close();", ""]) {
      const result = await runScript(`
        const session = await nodeRuntime().createSession(incrementModel());
        const state = await nodeRuntime().createState({ w: floats([1], [1]) });
        const { y } = await session.run({ x: floats([2], [1, 2]) });
        console.log([...y.data].join());
        ${ending}`);
      expect(result).toEqual({ code: 0, signal: null, out: "2,3\n", err: "" });
    }
  });

  it("stays alive while a request is under way", async () => {
    const result = await runScript(`
      nodeRuntime().createSession(incrementModel())
        .then((session) => session.run({ x: floats([2], [1, 2]) }))
        .then(({ y }) => console.log([...y.data].join()));`);
    expect(result).toEqual({ code: 0, signal: null, out: "2,3\n", err: "" });
  });

  it("can be ended at any time", async () => {
    const result = await runScript(`
      const session = await nodeRuntime().createSession(incrementModel());
      void session.run({ x: floats([2], [1, 2]) });
      process.exit(3);`);
    expect(result).toMatchObject({ code: 3, signal: null });
  });
});
