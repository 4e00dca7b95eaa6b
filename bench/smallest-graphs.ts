/**
 * The smallest graphs behind mechanisms that stay above four times their roofline: single steps of theirs on an image of
 * [8, 256, 28, 28], in units of a copy of that image. ONNX Runtime's CPU fuses no element-wise operators, so that every one of them is a
 * pass of its own. Interleaved; the median of 15 rounds of 20 calls, on two threads.
 *
 *   node --import ./scripts/typescript.mjs bench/smallest-graphs.ts
 */
import { trace } from "../src/graph/model.js";
import type { Tensor } from "../src/graph/tensor.js";
import { add, max, mean, mul, sigmoid, slice, square } from "../src/ops/index.js";
import { table } from "../src/report/table.js";
import { residentSession } from "./contestants/resident-session.js";
import { medianOf } from "./suite/statistics.js";

const [rounds, calls] = [15, 20];
const image = [8, 256, 28, 28];

const copy = "copy: image * 2";
/** By what it is; `extra` is the shape of a second operand. */
const graphs: Readonly<Record<string, { body: (x: Tensor, other: Tensor) => Tensor; extra?: number[] }>> = {
  "nothing: one element * 2": {
    body: (x) => mul(slice(x, { axes: [0, 1, 2, 3], starts: [0, 0, 0, 0], ends: [1, 1, 1, 1] }), 2),
  },
  [copy]: { body: (x) => mul(x, 2) },
  "image * image": { body: (x, other) => mul(x, other), extra: image },
  "a multiply-add: image * image + image": { body: (x, other) => add(mul(x, other), x), extra: image },
  "sigmoid(image)": { body: (x) => sigmoid(x) },
  "mean over positions": { body: (x) => mean(x, { axes: [2, 3] }) },
  "mean over channels": { body: (x) => mean(x, { axes: [1] }) },
  "maximum over channels": { body: (x) => max(x, { axes: [1] }) },
  "mean over rows": { body: (x) => mean(x, { axes: [2] }) },
  "maximum over rows": { body: (x) => max(x, { axes: [2] }) },
  "image * [N, C, 1, 1]": { body: (x, gate) => mul(x, gate), extra: [8, 256, 1, 1] },
  "image * [N, 1, H, W]": { body: (x, gate) => mul(x, gate), extra: [8, 1, 28, 28] },
  "image * [N, C, H, 1]": { body: (x, gate) => mul(x, gate), extra: [8, 256, 28, 1] },
  "image * [N, C, 1, W]": { body: (x, gate) => mul(x, gate), extra: [8, 256, 1, 28] },
  "variance over positions": {
    body: (x) => mean(square(add(x, mul(mean(x, { axes: [2, 3] }), -1))), { axes: [2, 3] }),
  },
  "an element of a window: slice, *, +": {
    body: (x, other) => add(other, mul(slice(x, { axes: [2, 3], starts: [1, 1], ends: [27, 27] }), other)),
    extra: [8, 256, 26, 26],
  },
};

const sessions = await Promise.all(
  Object.entries(graphs).map(async ([name, { body, extra = [1] }]) => {
    const graph = trace(({ x, other }: { x: Tensor; other: Tensor }) => body(x, other), {
      x: { shape: image },
      other: { shape: extra },
    });
    return { name, session: await residentSession(graph, { weights: "constant", threads: 2 }) };
  }),
);
const times = new Map(sessions.map(({ name }) => [name, [] as number[]]));
for (let round = 0; round < rounds; round++) {
  for (const { name, session } of sessions) {
    await session.run();
    const start = performance.now();
    for (let call = 0; call < calls; call++) await session.run();
    times.get(name)!.push((performance.now() - start) / calls);
  }
}
for (const { session } of sessions) await session.close();

const base = medianOf(times.get(copy)!);
const rows = [...times].map(([name, values]) => {
  const median = medianOf(values);
  return [name, median.toFixed(3), (median / base).toFixed(2)];
});
process.stdout.write(`${table([{ header: "graph" }, { header: "ms" }, { header: "copies" }], rows)}\n`);
process.exit();
