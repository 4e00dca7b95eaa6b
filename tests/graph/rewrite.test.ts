import { expect, test } from "vitest";
import { ancestors } from "../../src/graph/ancestors.js";
import { input } from "../../src/graph/leaf.js";
import { type RewriteRule, rewrite } from "../../src/graph/rewrite.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { withScope } from "../../src/graph/trace.js";
import { add, exp, logSoftmax, mul, relu, tanh } from "../../src/ops/index.js";

const x = () => input("x", [2, 3]);

/** Operators of the calls that a tensor depends on, in order of creation. */
const calls = (root: Tensor) =>
  [...ancestors([root])]
    .filter(({ inputs }) => inputs.length > 0)
    .sort((a, b) => a.id - b.id)
    .map(({ op }) => op.opName);

/** relu(exp(x)) is exp(x), where nothing else reads it. */
const dropRelu: RewriteRule = (call, uses) => {
  const [operand] = call.inputs;
  return call.op === relu && operand?.op === exp && uses(operand) === 1 ? operand : undefined;
};

test("rules apply to operands first, and the graph that was given stays", () => {
  const leaf = x();
  const before = relu(relu(exp(leaf)));
  const [after] = rewrite([before], [dropRelu]);
  expect(calls(after!)).toEqual(["exp"]);
  expect(after!.inputs).toEqual([leaf]);
  expect(calls(before)).toEqual(["exp", "relu", "relu"]);
});

test("a graph that no rule fits is returned as it is", () => {
  const root = add(tanh(x()), 1);
  expect(rewrite([root], [dropRelu])).toEqual([root]);
});

test("equal calls are one, so that both count as readers", () => {
  const leaf = x();
  const roots = [relu(exp(leaf)), tanh(exp(leaf))];
  const seen: number[] = [];
  const [first, second] = rewrite(roots, [
    (call, uses) => {
      if (call.op === exp) seen.push(uses(call));
      return undefined;
    },
  ]);
  expect(seen).toEqual([2]);
  expect(first!.inputs[0]).toBe(second!.inputs[0]);
});

test("a result counts as read", () => {
  const inner = exp(x());
  const [kept, root] = rewrite([inner, relu(inner)], [dropRelu]);
  expect(kept).toBe(inner);
  expect(calls(root!)).toEqual(["exp", "relu"]);
});

test("what takes the place of a call is read by the readers of both", () => {
  const inner = exp(x());
  const counts: number[] = [];
  const unwrap: RewriteRule = (call) => (call.op === tanh ? call.inputs[0] : undefined);
  const count: RewriteRule = (call, uses) => {
    if (call.op === relu) counts.push(uses(call.inputs[0]!));
    return undefined;
  };
  rewrite([relu(tanh(inner)), mul(inner, 2)], [unwrap, count]);
  expect(counts).toEqual([2]);
});

test("what a replacement reads is counted", () => {
  const leaf = exp(x());
  const counts: number[] = [];
  const square: RewriteRule = (call) =>
    call.op === relu ? mul(call.inputs[0]!, call.inputs[0]!) : undefined;
  const count: RewriteRule = (call, uses) => {
    if (call.op === add) counts.push(uses(call.inputs[0]!.inputs[0]!));
    return undefined;
  };
  rewrite([add(relu(leaf), 1)], [square, count]);
  expect(counts).toEqual([2]);
});

test("composites are seen as what they expand to", () => {
  const [root] = rewrite([logSoftmax(x(), { axis: 1 })], []);
  expect(calls(root!)).not.toContain("logSoftmax");
  expect(calls(root!)).toContain("exp");
});

test("a replacement has the scope of what it replaces", () => {
  const root = withScope("layer1", () => relu(x()));
  const [replaced] = rewrite([root], [(call) => (call.op === relu ? tanh(call.inputs[0]!) : undefined)]);
  expect(replaced!.scope).toBe("layer1");
});
