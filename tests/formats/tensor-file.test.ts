import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { writeSafetensors } from "../../src/formats/safetensors.js";
import { readTensorFile } from "../../src/formats/tensor-file.js";
import { fixture } from "./checkpoints.js";

const text = (value: string) => Uint8Array.from(value, (character) => character.charCodeAt(0));

describe("readTensorFile", () => {
  it.each([
    ["network.safetensors", "safetensors"],
    ["network.pth", "pytorch"],
    ["network-legacy.pth", "pytorch-legacy"],
  ])("knows %s by its content", (name, format) => {
    const file = readTensorFile(fixture(name));
    expect(file.format).toBe(format);
    expect(file.stateDict).toBeUndefined();
    expect(file.tensors.get("bn1.running_mean")).toMatchObject({ dtype: "float32", shape: [4] });
    expect(file.otherTensors.size).toBe(0);
  });

  it("gives metadata as values", () => {
    const file = readTensorFile(writeSafetensors([], { epoch: "3" }));
    expect([...file.values]).toEqual([["epoch", "3"]]);
  });

  it("gives what lies beside the state dict, or the one asked for", () => {
    const file = readTensorFile(fixture("nested.pth"));
    expect(file.stateDict).toBe("state_dict");
    expect(file.values.get("epoch")).toBe(3);
    expect(file.otherTensors.size).toBeGreaterThan(0);
    expect(readTensorFile(fixture("nested.pth"), { stateDict: "optimizer" }).stateDict).toBe("optimizer");
  });

  // A header of 0x4b50 or 0x80 bytes begins as a zip archive or a pickle does.
  it.each([0x4b50, 0x80])("knows safetensors with a header of %i bytes", (length) => {
    const empty = writeSafetensors([], { note: "" });
    const padding = length - (empty.length - 8);
    const bytes = writeSafetensors([], { note: "x".repeat(padding) });
    expect(new DataView(bytes.buffer).getUint16(0, true)).toBe(length);
    expect(readTensorFile(bytes).format).toBe("safetensors");
  });

  it.each<[string, Uint8Array, string]>([
    ["nothing", new Uint8Array(), "an empty file"],
    ["Git LFS", text("version https://git-lfs.github.com/spec/v1\n"), "a Git LFS pointer"],
    ["HTML", text("<!DOCTYPE html><html></html>"), "a web page"],
    ["JSON", text('{"weights": []}'), "JSON text"],
    ["HDF5", text("\x89HDF\r\n\x1a\n0000"), "an HDF5 file"],
    ["NumPy", text("\x93NUMPY\x01\x00v\x00"), "a NumPy array"],
    ["gzip", text("\x1f\x8b\x08\x00aaaaaa"), "gzip data; unpack it first"],
    ["others", Uint8Array.of(8, 9, 10), "3 bytes that start with 08 09 0a"],
  ])("refuses %s, saying so", (_, bytes, found) => {
    const refused = () => readTensorFile(bytes, { source: "weights.bin" });
    expect(refused).toThrow(FormatError);
    expect(refused).toThrow(
      `weights.bin: expected a safetensors file or a PyTorch checkpoint, found ${found}`,
    );
  });

  it("names the file in errors of its readers", () => {
    expect(() => readTensorFile(fixture("malicious.pth"), { source: "a.pth" })).toThrow(/^a\.pth: .*system/);
    const cut = fixture("network.safetensors").subarray(0, 100);
    expect(() => readTensorFile(cut, { source: "b" })).toThrow(/^b: /);
    const options = { stateDict: "ema" };
    expect(() => readTensorFile(fixture("network.safetensors"), options)).toThrow('no state dict "ema"');
  });
});
