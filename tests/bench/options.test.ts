import { describe, expect, it } from "vitest";
import { choosePeers } from "../../bench/suite/contestants.js";
import { help, readOptions } from "../../bench/suite/options.js";
import type { NetworkWork } from "../../bench/suite/work.js";
import { OptionError } from "../../src/base/errors.js";

function options(...args: string[]) {
  const read = readOptions(args);
  if (read === "help") throw new Error("help was asked for");
  return read;
}

describe("options of the benchmark", () => {
  it("have defaults that make a full run", () => {
    expect(options()).toMatchObject({ rounds: 9, threads: 2, quick: false, wasm: false, docs: false });
    expect(options().to).toMatch(/bench.results.latest\.json$/);
  });

  it("make a quick run that writes no file unless told", () => {
    expect(options("--quick")).toMatchObject({ rounds: 3, to: undefined });
    expect(options("--quick", "--rounds", "5", "--to", "x.json")).toMatchObject({ rounds: 5, to: "x.json" });
  });

  it("are refused where they are unknown or no count", () => {
    for (const args of [
      ["--round", "3"],
      ["--rounds", "0"],
      ["--rounds", "x"],
      ["--threads", "1.5"],
      ["more"],
    ]) {
      expect(() => readOptions(args)).toThrow(OptionError);
    }
    expect(readOptions(["--help"])).toBe("help");
    expect(help).toContain("--peer-modules");
  });
});

describe("contestants", () => {
  const chosen = (...args: string[]) => choosePeers(options(...args));
  const small = {
    kind: "network",
    network: "se-resnet-20",
    pass: "training",
    shape: [4, 3, 32, 32],
  } as const;

  it("are those that are asked for", () => {
    expect(chosen()).toEqual([]);
    expect(chosen("--wasm", "--peers", "tfjs, jax-js").map(({ name }) => name)).toEqual([
      "fovea, WebAssembly",
      "TensorFlow.js",
      "jax-js",
    ]);
    expect(chosen("--python", "/bin/python", "--threads", "3")).toHaveLength(4);
    expect(() => chosen("--peers", "tf")).toThrow(OptionError);
    const [checkpointed] = chosen("--checkpoint");
    expect(checkpointed!.name).toBe("fovea, checkpointed");
    expect(checkpointed!.refuses!({ id: "a row", work: small })).toBeUndefined();
    const inference = { id: "a row", work: { ...small, pass: "inference" } } as const;
    expect(checkpointed!.refuses!(inference)).toMatch(/no backward pass/);
    const [direct] = chosen("--calling-thread");
    expect(direct!.name).toBe("fovea, calling thread");
    expect(direct!.refuses!({ id: "a row", work: small })).toMatch(/inference alone/);
    expect(direct!.refuses!(inference)).toBeUndefined();
  });

  it("can be left out", () => {
    const some = chosen("--python", "/bin/python", "--without", "*COMPILE*,*channels*");
    expect(some.map(({ name }) => name)).toEqual(["PyTorch", "ONNX Runtime, PyTorch's export"]);
    expect(() => chosen("--without", "*compile*")).toThrow(OptionError);
  });

  it("can be left out of some rows", () => {
    const peers = chosen(
      "--python",
      "/bin/python",
      "--peers",
      "tfjs",
      "--without",
      "training/u-*:*,*/64:tensor*",
    );
    expect(peers).toHaveLength(5);
    const [eager, tfjs] = [peers[0]!, peers.at(-1)!];
    expect(eager.refuses!({ id: "training/u-net/128/8", work: small })).toMatch(/--without/);
    expect(eager.refuses!({ id: "inference/u-net/128/8", work: small })).toBeUndefined();
    expect(tfjs.refuses!({ id: "training/se-resnet-20/32/64", work: small })).toMatch(/--without/);
    expect(tfjs.refuses!({ id: "training/x", work: { ...small, shape: [64, 3, 32, 32] } })).toMatch(/alone/);
    expect(() => chosen("--peers", "tfjs", "--without", "training/*:*compile*")).toThrow(OptionError);
  });

  it("get as many threads as all", () => {
    for (const { command } of chosen("--python", "/bin/python", "--threads", "3").slice(0, 3)) {
      expect(command.env).toMatchObject({ OMP_NUM_THREADS: "3" });
    }
  });

  it("stay away from rows that are not theirs", () => {
    const row = (other: Partial<NetworkWork> = {}) => ({ id: "a row", work: { ...small, ...other } });
    const [tfjs] = chosen("--peers", "tfjs");
    expect(tfjs!.refuses!(row())).toBeUndefined();
    expect(tfjs!.refuses!(row({ shape: [64, 3, 32, 32] }))).toMatch(/alone/);
    const exported = chosen("--python", "/bin/python").at(-1)!;
    expect(exported.refuses!(row())).toMatch(/no training step/);
    expect(exported.refuses!(row({ pass: "inference" }))).toBeUndefined();
  });
});
