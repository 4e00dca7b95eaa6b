import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { Allowance } from "../../src/formats/allowance.js";
import { readZip } from "../../src/formats/zip.js";
import { type ZipMember, type ZipParts, zipFile } from "./zip.js";

const encode = (text: string) => new TextEncoder().encode(text);
const members: readonly ZipMember[] = [
  { name: "a/data.pkl", data: encode("hello hello hello hello"), deflate: true },
  { name: "a/data/0", data: Uint8Array.of(1, 2, 3, 4) },
  { name: "ä", data: new Uint8Array() },
];

function open(bytes: Uint8Array) {
  return readZip(bytes, { source: "x.zip", allowance: new Allowance(bytes.length, "x.zip") });
}

function readAll(bytes: Uint8Array): Map<string, Uint8Array> {
  return new Map([...open(bytes)].map(([name, entry]) => [name, new Uint8Array(entry.read())]));
}

function refusal(bytes: Uint8Array): string {
  try {
    readAll(bytes);
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
  throw new Error("the archive was read");
}

/** The refusal of the archive above after a change of some bytes. */
function refusalAfter(change: (parts: ZipParts) => void, options?: { zip64?: boolean }): string {
  const parts = zipFile(members, options);
  change(parts);
  return refusal(parts.bytes);
}

describe("readZip", () => {
  it.each([false, true])("reads stored and deflated members (zip64: %s)", (zip64) => {
    const { bytes } = zipFile(members, { zip64 });
    expect(readAll(bytes)).toEqual(new Map(members.map(({ name, data }) => [name, data])));
  });

  it("gives stored members as views, at any offset in a larger buffer", () => {
    const { bytes } = zipFile(members);
    const buffer = Buffer.concat([Buffer.alloc(5, 0x50), bytes, Buffer.alloc(9, 0x4b)]);
    const data = open(buffer.subarray(5, 5 + bytes.length))
      .get("a/data/0")!
      .read();
    expect([...data]).toEqual([1, 2, 3, 4]);
    expect(data.buffer).toBe(buffer.buffer);
  });

  it("reads an archive without members", () => {
    expect(open(zipFile([]).bytes).size).toBe(0);
  });

  it("reads sizes that follow the data, as PyTorch writes", () => {
    const file = readFileSync(new URL("../fixtures/pytorch/checkpoints/network.pth", import.meta.url));
    const entries = open(file);
    expect(new TextDecoder().decode(entries.get("archive/byteorder")!.read())).toBe("little");
    expect(entries.get("archive/data/0")!.size).toBe(4 * 3 * 9 * 4);
  });

  it("takes a checksum of 0 as none", () => {
    const { bytes, view, local, central, data } = zipFile(members);
    view.setUint32(local[1]! + 14, 0, true);
    view.setUint32(central[1]! + 16, 0, true);
    bytes[data[1]!] = 9;
    expect(readAll(bytes).get("a/data/0")![0]).toBe(9);
  });
});

describe("readZip refuses", () => {
  it("every truncation, and bytes behind the end", () => {
    for (const zip64 of [false, true]) {
      const { bytes } = zipFile(members, { zip64 });
      for (let length = 0; length < bytes.length; length++) {
        expect(refusal(bytes.subarray(0, length))).toContain("truncated");
      }
      expect(refusal(Uint8Array.of(...bytes, 0))).toContain("other bytes follow");
    }
  });

  it.each<[string, (parts: ZipParts) => void, string]>([
    [
      "bytes before the archive",
      ({ view, end }) => view.setUint32(end + 16, 3, true),
      "it must end at offset",
    ],
    [
      "a directory without end",
      ({ view, end }) => view.setUint32(end + 12, 0xffffff, true),
      "it must end at offset",
    ],
    ["more members than fit", ({ view, end }) => both16(view, end + 8, 60000), "cannot list 60000 members"],
    ["fewer members than there are", ({ view, end }) => both16(view, end + 8, 2), "belong to no member"],
    ["one more member", ({ view, end }) => both16(view, end + 8, 4), "cannot list 4 members"],
    ["several disks", ({ view, end }) => view.setUint16(end + 4, 1, true), "one of several disks"],
    [
      "a member on another disk",
      ({ view, central }) => view.setUint16(central[1]! + 34, 2, true),
      "on another disk",
    ],
    [
      "encryption",
      ({ view, central }) => view.setUint16(central[1]! + 8, 0x0801, true),
      '"a/data/0": encrypted',
    ],
    ["strong encryption", ({ view, central }) => view.setUint16(central[1]! + 8, 0x0840, true), "encrypted"],
    [
      "unknown flags",
      ({ view, central }) => view.setUint16(central[1]! + 8, 0x0820, true),
      "unknown flags 0x820",
    ],
    [
      "other methods",
      ({ view, central }) => view.setUint16(central[1]! + 10, 14, true),
      "compression method 14",
    ],
    [
      "stored sizes that differ",
      ({ view, central }) => view.setUint32(central[1]! + 24, 5, true),
      "stored in 4 bytes, but 5",
    ],
    [
      "impossible compression",
      ({ view, central }) => view.setUint32(central[0]! + 24, 2 ** 30, true),
      "cannot expand to",
    ],
    [
      "a broken entry",
      ({ view, central }) => view.setUint32(central[1]!, 0, true),
      "a damaged directory entry",
    ],
    [
      "a name beyond the directory",
      ({ view, central }) => view.setUint16(central[2]! + 28, 999, true),
      "a damaged directory entry",
    ],
    [
      "names that are not UTF-8",
      ({ bytes, central }) => bytes.fill(0xff, central[2]! + 46, central[2]! + 48),
      "is not UTF-8",
    ],
    [
      "a header of another name",
      ({ bytes, local }) => bytes.fill(0x62, local[1]! + 30, local[1]! + 31),
      "another name",
    ],
    [
      "a header of another method",
      ({ view, local }) => view.setUint16(local[1]! + 8, 8, true),
      "another method",
    ],
    ["a header of other sizes", ({ view, local }) => view.setUint32(local[1]! + 22, 3, true), "other sizes"],
    [
      "a header of another checksum",
      ({ view, local }) => view.setUint32(local[1]! + 14, 3, true),
      "another checksum",
    ],
    [
      "a header that is not there",
      ({ view, central }) => view.setUint32(central[1]! + 42, 7, true),
      "overlaps",
    ],
    [
      "a header beyond the end",
      ({ view, central }) => view.setUint32(central[1]! + 42, 2 ** 31, true),
      "no header there",
    ],
    ["data beyond the end", ({ view, local }) => view.setUint16(local[2]! + 28, 60000, true), "reach beyond"],
    ["damaged data", ({ bytes, data }) => bytes.fill(9, data[1]!, data[1]! + 1), '"a/data/0" is damaged'],
    ["damaged deflate data", ({ bytes, data }) => bytes.fill(0xff, data[0]!, data[0]! + 1), "deflate data"],
  ])("%s", (_, change, message) => {
    expect(refusalAfter(change)).toContain(message);
  });

  it("data that reach into the directory", () => {
    const longer = ({ view, local, central }: ZipParts) => {
      for (const at of [local[2]! + 18, local[2]! + 22, central[2]! + 20, central[2]! + 24]) {
        view.setUint32(at, 3, true);
      }
    };
    expect(refusalAfter(longer)).toMatch(/"ä" at offset \d+: 3 bytes of data reach beyond the members' end/);
  });

  it("members that overlap", () => {
    // The second member's entry points to a header inside the first one's data.
    const inner = zipFile([{ name: "b", data: encode("inside") }]);
    const hidden = inner.bytes.subarray(0, inner.central[0]);
    const { bytes, view, data, central } = zipFile([
      { name: "a", data: hidden },
      { name: "b", data: encode("inside") },
    ]);
    expect(readAll(bytes).size).toBe(2);
    view.setUint32(central[1]! + 42, data[0]!, true);
    expect(refusal(bytes)).toBe('x.zip: member "b" overlaps "a"');
  });

  it("two entries for the same member", () => {
    const { bytes, view, central, local } = zipFile([
      { name: "a", data: encode("x") },
      { name: "b", data: encode("x") },
    ]);
    view.setUint32(central[1]! + 42, local[0]!, true);
    expect(refusal(bytes)).toContain("overlaps");
  });

  it("duplicate names", () => {
    const { bytes } = zipFile([members[1]!, members[1]!]);
    expect(refusal(bytes)).toBe('x.zip: two members are named "a/data/0"');
  });

  it("zip64 records that are damaged or disagree", () => {
    const wide = { zip64: true };
    expect(refusalAfter(({ view, end }) => view.setUint32(end - 20 + 8, 1, true), wide)).toContain(
      "damaged zip64",
    );
    expect(refusalAfter(({ view, end }) => view.setUint32(end - 76 + 4, 45, true), wide)).toContain(
      "damaged zip64",
    );
    expect(refusalAfter(({ view, end }) => view.setUint16(end + 10, 2, true), wide)).toContain(
      "records disagree",
    );
    expect(refusalAfter(({ view, end }) => view.setUint32(end - 76 + 44, 1, true), wide)).toContain(
      "must end at",
    );
    expect(
      refusalAfter(({ view, central }) => view.setUint16(central[1]! + 46 + 8, 9, true), wide),
    ).toContain("zip64 sizes are missing");
  });

  it("a bomb, before it is expanded", () => {
    const data = new Uint8Array(20_000_000);
    const bombs = [1, 2].map((index) => zipFile([{ name: `${index}`, data, deflate: true }]));
    expect(bombs[0]!.bytes.length).toBeLessThan(30_000);
    expect(refusal(bombs[0]!.bytes)).toMatch(/member "1" takes 20000000 bytes; \d+ are left/);
    const several = zipFile(
      Array.from({ length: 12 }, (_, index) => ({
        name: `${index}`,
        data: data.subarray(0, 2_000_000),
        deflate: true,
      })),
    );
    expect(refusal(several.bytes)).toMatch(/member "8" takes 2000000 bytes/);
  });
});

function both16(view: DataView, at: number, value: number): void {
  view.setUint16(at, value, true);
  view.setUint16(at + 2, value, true);
}
