import { describe, expect, it } from "vitest";
import { runScript } from "../runtime/script-process.js";
import { useSoftwareVulkan } from "../support/chromium.js";

await useSoftwareVulkan();

describe("a process with sessions on WebGPU", () => {
  const steps = `
    const session = await nodeRuntime().createSession(momentumModel(), {
      device: "webgpu",
      deviceOutputs: ["w.next", "v.next"],
    });
    const state = await nodeRuntime().createState({
      w: floats([2], [1, -2]), v: floats([2], [0, 0]), decay: scalar(0.5),
    });
    const call = {
      feeds: { g: floats([2], [1, 2]), rate: scalar(1) },
      fetches: ["loss"],
      next: { w: "w.next", v: "v.next" },
    };
    await session.step(state, call);
    const { w } = await state.read(["w"]);
    console.log([...w.data].join());`;

  it("ends by itself, with sessions closed or left open", async () => {
    for (const ending of ["await session.close(); await state.close();", ""]) {
      expect(await runScript(steps + ending)).toMatchObject({ code: 0, signal: null, out: "0,-4\n" });
    }
  });

  it("survives states that are closed after the last session", async () => {
    const result = await runScript(`
      const runtime = nodeRuntime();
      const values = floats([512, 512], new Float32Array(512 * 512).fill(1));
      const session = await runtime.createSession(incrementModel("n"), { device: "webgpu", deviceOutputs: ["y"] });
      const flat = { ...values, shape: [512 * 512] };
      const states = [];
      for (let i = 0; i < 8; i++) {
        const state = await runtime.createState({ x: flat });
        for (let step = 0; step < 3; step++) {
          await session.step(state, { feeds: {}, fetches: [], next: { x: "y" } });
        }
        states.push(state);
      }
      await session.close();
      for (const state of states) await state.close();
      console.log("closed");`);
    expect(result).toMatchObject({ code: 0, signal: null, out: "closed\n" });
  });

  it("can be ended at any time", async () => {
    const result = await runScript(`${steps} void session.step(state, call); process.exit(3);`);
    expect(result).toMatchObject({ code: 3, signal: null });
  });
});
