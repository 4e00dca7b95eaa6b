import { expect, it } from "vitest";
import { elementCount } from "../../src/base/dtype.js";
import { FormatError } from "../../src/base/errors.js";
import { Allowance } from "../../src/formats/allowance.js";
import { fileBytesPerElement } from "../../src/formats/file-tensor.js";
import { type PyTorchCheckpoint, readPyTorch } from "../../src/formats/pytorch.js";
import { readZip } from "../../src/formats/zip.js";
import { checkpoint, fixture } from "./checkpoints.js";
import { mutate, numbers } from "./mutations.js";

/** Mutations of each file. */
const rounds = 800;
const files = ["network", "network-protocol4", "nested", "views", "dtypes", "malicious"].map(
  (name) => `${name}.pth`,
);
const legacyFiles = ["network-legacy", "views-legacy", "dtypes-legacy", "malicious-legacy"].map(
  (name) => `${name}.pth`,
);

/** Bytes of tensors that are no views into the file. */
function copiedBytes({ tensors, otherTensors }: PyTorchCheckpoint, file: Uint8Array): number {
  const copies = new Set<ArrayBufferLike>();
  for (const [name, { dtype, shape, data }] of [...tensors, ...otherTensors]) {
    expect(data.byteLength, name).toBe(elementCount(shape) * fileBytesPerElement[dtype]);
    if (data.buffer !== file.buffer) copies.add(data.buffer);
  }
  return [...copies].reduce((sum, buffer) => sum + buffer.byteLength, 0);
}

/** Reads `rounds` mutations; anything but a FormatError or a sound result fails. */
function fuzz(rounds: number, seed: number, make: (next: (below: number) => number) => Uint8Array) {
  const outcome = { read: 0, refused: 0 };
  for (let round = 0; round < rounds; round++) {
    const bytes = make(numbers(seed + round));
    try {
      const copied = copiedBytes(readPyTorch(bytes), bytes);
      expect(copied).toBeLessThanOrEqual(16 * 2 ** 20 + 16 * bytes.length);
      outcome.read++;
    } catch (error) {
      if (!(error instanceof FormatError)) throw new Error(`seed ${seed + round}`, { cause: error });
      outcome.refused++;
    }
  }
  return outcome;
}

it.each([...files, ...legacyFiles])("%s, changed anywhere, is read or refused", (name) => {
  const file = new Uint8Array(fixture(name));
  const { read, refused } = fuzz(rounds, 1, (next) => mutate(file, next));
  expect(refused).toBeGreaterThan(rounds / 4);
  // Changes of values alone go unseen where there are no checksums.
  if (legacyFiles.includes(name) && !name.startsWith("malicious")) expect(read).toBeGreaterThan(0);
  if (name.startsWith("malicious")) expect(read).toBeLessThan(rounds / 20);
});

// Behind the checksum, which hides most of it from the mutations above.
it.each(files)("the pickle of %s, changed anywhere, is read or refused", (name) => {
  const file = new Uint8Array(fixture(name));
  const entries = [...readZip(file, { source: name, allowance: new Allowance(file.length, name) }).values()];
  const content = (wanted: string) => entries.find((entry) => entry.name === `archive/${wanted}`)!.read();
  const storages = Object.fromEntries(
    entries
      .filter((entry) => entry.name.startsWith("archive/data/"))
      .map((entry) => [entry.name.slice("archive/data/".length), entry.read()]),
  );
  const pickle = content("data.pkl");
  const { read, refused } = fuzz(rounds, 100_000, (next) => checkpoint(mutate(pickle, next), storages));
  expect(refused).toBeGreaterThan(rounds / 4);
  if (!name.startsWith("malicious")) expect(read).toBeGreaterThan(0);
});
