import { expect, test } from "vitest";
import { prepareMechanism, prepareReference } from "../../bench/contestants/mechanism.js";
import { mechanismCase } from "../../bench/suite/mechanism-case.js";
import { allRows, isKind } from "../../bench/suite/rows.js";
import { SqueezeExcitation } from "../../src/attention/channel/squeeze-excitation.js";
import { parameterCount } from "../../src/graph/model.js";

const work = { kind: "mechanism", mechanism: "se", image: [2, 32, 6, 5] } as const;
const pixels = 2 * 32 * 6 * 5;
const weights = parameterCount(new SqueezeExcitation({ channels: 32 }));
const macs = 2 * 2 * 32 * 8;

test("a mechanism's forward pass moves inputs, weights and outputs once", async () => {
  const ready = await prepareMechanism({ ...work, pass: "forward" }, 1);
  expect(ready).toMatchObject({
    input: "x [2, 32, 6, 5]",
    bytes: 4 * (2 * pixels + weights),
    operations: 2 * macs,
  });
  expect(await ready.run()).toBeUndefined();
  await ready.close();
});

test("with gradients the way back is added", async () => {
  const ready = await prepareMechanism({ ...work, pass: "gradients" }, 1);
  expect(ready.bytes).toBe(4 * (5 * pixels + 3 * weights));
  // Two products back for each forth.
  expect(ready.operations).toBe(3 * 2 * macs);
  await ready.run();
  await ready.close();
});

test("references count what they do", async () => {
  const product = await prepareReference({ kind: "reference", measure: "product", elements: 64 }, 1);
  expect(product.operations).toBe(2 * 2 * 8 ** 3);
  const copy = await prepareReference({ kind: "reference", measure: "copy", elements: 64 }, 1);
  expect(copy).toMatchObject({ operations: 0, bytes: 8 * 2 * 4 * 64 });
  await product.close();
  await copy.close();
});

test("every row of a mechanism can be built", () => {
  const built = new Set<string>();
  for (const row of allRows({ quick: true })) {
    if (!isKind(row, "mechanism") || row.work.pass !== "forward") continue;
    const { inputs } = mechanismCase(row.work);
    expect(Object.keys(inputs), row.id).not.toEqual([]);
    built.add(row.work.mechanism);
  }
  expect(built.size).toBeGreaterThan(50);
});
