import { describe, expect, it } from "vitest";
import { DeviceError, FormatError } from "../../src/base/errors.js";
import { placementOfProfile } from "../../src/runtime/profile-placement.js";
import { placedNodes } from "../../src/runtime/web-placement.js";

const event = (name: string, operator: string, provider: string) => ({
  cat: "Node",
  name: `${name}_kernel_time`,
  args: { op_name: operator, provider: `${provider}ExecutionProvider` },
});

describe("the placement of a profile", () => {
  const events = [
    { cat: "Session", name: "model_run" },
    { cat: "Node", name: "fence_before", args: { op_name: "Add" } },
    event("a", "Add", "WebGpu"),
    event("b", "Cast", "CPU"),
    event("c", "MemcpyFromHost", "WebGpu"),
    event("a", "Add", "WebGpu"),
    event("d", "Cast", "CPU"),
    event("e", "Equal", "CPU"),
  ];

  it("counts each node once, and copies for themselves", () => {
    expect(placementOfProfile(JSON.stringify(events), "webgpu")).toEqual({
      nodes: { webgpu: 1, cpu: 3 },
      fallbacks: { Cast: 2, Equal: 1 },
      copies: 1,
    });
  });

  it("calls nothing a fallback on the CPU itself", () => {
    expect(placementOfProfile(JSON.stringify([event("a", "Add", "CPU")]), "cpu")).toEqual({
      nodes: { cpu: 1 },
      fallbacks: {},
      copies: 0,
    });
    expect(placementOfProfile(JSON.stringify([event("a", "Add", "CPU")]), "webgpu").fallbacks).toEqual({
      Add: 1,
    });
  });

  it("refuses what is no profile", () => {
    for (const text of ["", "[{", "{}", "1"])
      expect(() => placementOfProfile(text, "cpu")).toThrow(FormatError);
  });
});

describe("the placement of a log", () => {
  it("is read where one provider has all nodes", () => {
    const nodes = placedNodes([
      "Node placements",
      " All nodes placed on [WebGpuExecutionProvider]. Number of nodes: 3",
    ]);
    expect(nodes).toEqual(Array(3).fill({ operator: "", provider: "WebGpuExecutionProvider" }));
  });

  it("is read node by node where several have some", () => {
    const nodes = placedNodes([
      "Node placements",
      " Node(s) placed on [CPUExecutionProvider]. Number of nodes: 2",
      "  Equal (loss/Equal_0)",
      "  Cast (loss/Cast_0)",
      " Node(s) placed on [WebGpuExecutionProvider]. Number of nodes: 1",
      "  Conv (conv1/Conv_0)",
    ]);
    expect(nodes.map(({ operator, provider }) => `${operator} ${provider}`)).toEqual([
      "Equal CPUExecutionProvider",
      "Cast CPUExecutionProvider",
      "Conv WebGpuExecutionProvider",
    ]);
  });

  it("is missed where the log has none", () => {
    expect(() => placedNodes(["Node placements"])).toThrow(DeviceError);
  });
});
