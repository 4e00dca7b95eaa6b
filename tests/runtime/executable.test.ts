import { describe, expect, it } from "vitest";
import { DeviceError } from "../../src/base/errors.js";
import { hostCall } from "../../src/graph/host-call.js";
import { trace } from "../../src/graph/model.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { compile } from "../../src/runtime/executable.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import type { Runtime, Session } from "../../src/runtime/types.js";

const refuse = () => Promise.reject(new DeviceError("no memory"));

/** A runtime that makes so many sessions and no state, and the sessions that are open. */
function scarceRuntime(sessions: number): { runtime: Runtime; open: Set<Session> } {
  const real = defaultRuntime();
  const open = new Set<Session>();
  let made = 0;
  const runtime: Runtime = {
    resolveDevice: (request) => real.resolveDevice(request),
    channelBlock: (device) => real.channelBlock(device),
    info: (options) => real.info(options),
    createState: refuse,
    async createSession(model, options) {
      if (made++ === sessions) return refuse();
      const session = await real.createSession(model, options);
      const close = session.close.bind(session);
      session.close = async () => {
        open.delete(session);
        await close();
      };
      open.add(session);
      return session;
    },
  };
  return { runtime, open };
}

describe("compile", () => {
  it.each([1, 2, 3])(
    "closes what it has loaded where the rest fails, with room for %i sessions",
    async (room) => {
      const twice = (x: Tensor) => {
        const call = (rows: Tensor) => hostCall((given) => given, { rows }, { rows: { shape: [2] } }).rows;
        return call(call(x));
      };
      const { runtime, open } = scarceRuntime(room);
      await expect(compile(trace(twice, { shape: [2] }), { runtime })).rejects.toThrow("no memory");
      expect(open.size).toBe(0);
    },
  );
});
