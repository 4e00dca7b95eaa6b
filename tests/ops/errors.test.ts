import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/base/errors.js";
import { constant } from "../../src/graph/constant.js";
import { input } from "../../src/graph/leaf.js";
import { trace } from "../../src/graph/model.js";
import { batch } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { BatchNorm } from "../../src/nn/batch-norm.js";
import { Module } from "../../src/nn/module.js";
import { Sequential } from "../../src/nn/sequential.js";
import {
  adaptiveAveragePool2d,
  add,
  argMax,
  channelAffine,
  concat,
  conv,
  convFilterGradient,
  convTranspose,
  equal,
  expand,
  flip,
  greater,
  linear,
  logSoftmax,
  matmul,
  maxPool,
  mean,
  mul,
  not,
  pad,
  slice,
  softmax,
  sum,
  transpose,
  where,
} from "../../src/ops/index.js";

const f = (...shape: number[]) => input("x", shape);
const i = (...shape: number[]) => input("i", shape, "int64");
const b = (...shape: number[]) => input("b", shape, "bool");
const rows = input("rows", [batch, 4]);

describe("an error shows the call as written", () => {
  const calls: [message: string, call: () => Tensor][] = [
    ["mul([2, 3], [2, 4]): axis 1 is 3 and 4; sizes must be equal or 1", () => mul(f(2, 3), f(2, 4))],
    ["add([2], int64 [2]): operands must have one dtype, found float32 and int64", () => add(f(2), i(2))],
    ["add(bool [2], bool [2]): operands must be numbers, found bool", () => add(b(2), b(2))],
    ["greater(bool [2], bool [2]): operands must be numbers, found bool", () => greater(b(2), b(2))],
    ["equal([2], bool [2]): operands must have one dtype, found float32 and bool", () => equal(f(2), b(2))],
    ["not([2]): operand must be bool, found float32", () => not(f(2))],
    ["where([2], [2], [2]): condition must be bool, found float32", () => where(f(2), f(2), f(2))],
    [
      "matmul([2, 3], [4, 5]): columns of the left operand (3) must equal rows of the right (4)",
      () => matmul(f(2, 3), f(4, 5)),
    ],
    ["matmul([3], [3, 2]): operands must have rank 2 or more", () => matmul(f(3), f(3, 2))],
    [
      "matmul([batch, 4], [4, batch]): a tensor can have one symbolic size, found [batch, batch]",
      () => matmul(rows, transpose(rows)),
    ],
    ["matmul([2, 3], [5, 4]): columns", () => linear(f(2, 3), f(4, 5))],
    ["sum([2, 3], { axes: [2] }): axis 2 is out of range for rank 2", () => sum(f(2, 3), { axes: [2] })],
    ["mean(int64 [2]): operands must be float32, found int64", () => mean(i(2))],
    ["argMax([2], { axis: 1 }): axis 1 is out of range for rank 1", () => argMax(f(2), { axis: 1 })],
    ["softmax([2], { axis: -2 }): axis -2 is out of range", () => softmax(f(2), { axis: -2 })],
    ["logSoftmax(int64 [2], { axis: 0 }): operands must be float32", () => logSoftmax(i(2), { axis: 0 })],
    [
      "transpose([2, 3], { perm: [0, 0] }): perm [0, 0] must name each of 2 axes once",
      () => transpose(f(2, 3), { perm: [0, 0] }),
    ],
    ["flip([2], { axes: [1] }): axis 1 is out of range", () => flip(f(2), { axes: [1] })],
    [
      "concat([2, 3], [2, 4], { axis: 0 }): sizes must be equal on every axis but 0",
      () => concat([f(2, 3), f(2, 4)], { axis: 0 }),
    ],
    [
      "concat([2], int64 [2], { axis: 0 }): operands must have one dtype",
      () => concat([f(2), i(2)], { axis: 0 }),
    ],
    [
      "concat([batch, 4], [batch, 4], { axis: 0 }): needs a concrete batch",
      () => concat([rows, rows], { axis: 0 }),
    ],
    ["concat: needs at least one tensor", () => concat([], { axis: 0 })],
    [
      "slice([4], { axes: [0], starts: [2], ends: [2] }): range 2 to 2 of axis 0 is empty",
      () => slice(f(4), { axes: [0], starts: [2], ends: [2] }),
    ],
    ["range 4 to 4 of axis 0 is empty", () => slice(f(4), { axes: [0], starts: [9], ends: [12] })],
    ["range -1 to 4 of axis 0 is empty", () => slice(f(4), { axes: [0], starts: [-5], ends: [4] })],
    ["range 0.5 to 2 of axis 0 is empty", () => slice(f(4), { axes: [0], starts: [0.5], ends: [2] })],
    [
      "step must be an integer >= 1, found 0",
      () => slice(f(4), { axes: [0], starts: [0], ends: [2], steps: [0] }),
    ],
    [
      "step must be an integer >= 1, found 1.5",
      () => slice(f(4), { axes: [0], starts: [0], ends: [2], steps: [1.5] }),
    ],
    [
      "needs a start, an end and a step for each of its axes, which must differ",
      () => slice(f(4, 4), { axes: [0, 1], starts: [0], ends: [2, 2] }),
    ],
    [
      "needs a start, an end and a step for each of its axes, which must differ",
      () => slice(f(4), { axes: [0, -1], starts: [0, 0], ends: [2, 2] }),
    ],
    [
      "size(0) of [batch, 4] needs a concrete batch",
      () => slice(rows, { axes: [0], starts: [0], ends: [1] }),
    ],
    [
      "pad([2], { pads: [1, -1] }): pads must be 2 integers >= 0, found [1, -1]",
      () => pad(f(2), { pads: [1, -1] }),
    ],
    ["expand([2, 3], { shape: [2, 4] }): axis 1 is 3 and 4", () => expand(f(2, 3), { shape: [2, 4] })],
    ["expand([2, 3], { shape: [1, 3] }): cannot stretch to [1, 3]", () => expand(f(2, 3), { shape: [1, 3] })],
    [
      "expand([1], { shape: [0] }): sizes must be integers >= 1, found [0]",
      () => expand(f(1), { shape: [0] }),
    ],
    [
      "expand([1], { shape: [-1] }): sizes must be integers >= 1, found [-1]",
      () => expand(f(1), { shape: [-1] }),
    ],
    [
      "conv([1, 3, 5, 5], [4, 2, 3, 3]): input must have 2 channels, found 3",
      () => conv(f(1, 3, 5, 5), f(4, 2, 3, 3)),
    ],
    [
      "conv([1, 3, 2, 2], [4, 3, 3, 3]): window of 3 does not fit spatial axis 0 of size 2 padded to 2",
      () => conv(f(1, 3, 2, 2), f(4, 3, 3, 3)),
    ],
    ["input must have 1 to 3 spatial axes, found rank 2", () => conv(f(1, 3), f(4, 3))],
    ["weight must have rank 4, found rank 3", () => conv(f(1, 3, 5, 5), f(4, 3, 3))],
    [
      "output channels 3 must be divisible by groups 2",
      () => conv(f(1, 4, 5, 5), f(3, 2, 3, 3), undefined, { groups: 2 }),
    ],
    [
      "groups must be an integer >= 1, found 0",
      () => conv(f(1, 4, 5, 5), f(3, 2, 3, 3), undefined, { groups: 0 }),
    ],
    [
      "stride must be 2 integers >= 1, found [0, 0]",
      () => conv(f(1, 2, 5, 5), f(3, 2, 3, 3), undefined, { stride: 0 }),
    ],
    [
      "padding must be 4 integers >= 0, found [-1, -1, -1, -1]",
      () => conv(f(1, 2, 5, 5), f(3, 2, 3, 3), undefined, { padding: -1 }),
    ],
    [
      "dilation must be 2 integers >= 1, found [1, 1, 1]",
      () => conv(f(1, 2, 5, 5), f(3, 2, 3, 3), undefined, { dilation: [1, 1, 1] }),
    ],
    [
      "stride must be 2 integers >= 1, found [NaN, NaN]",
      () => conv(f(1, 2, 5, 5), f(3, 2, 3, 3), undefined, { stride: Number.NaN }),
    ],
    ["bias must be [3]", () => conv(f(1, 2, 5, 5), f(3, 2, 3, 3), f(2))],
    ["operands must be float32, found int64", () => conv(f(1, 2, 5, 5), f(3, 2, 3, 3), i(3))],
    [
      "outputSize [9] belongs to inputs of [7]",
      () => convTranspose(f(1, 2, 5), f(2, 2, 3), { outputSize: [9] }),
    ],
    ["dy must be [2, K, 3]", () => convFilterGradient(f(2, 2, 5), f(2, 3, 4), { kernel: [3] })],
    [
      "maxPool([1, 1, 4, 4], { kernel: [2] }): kernel must have 2 sizes",
      () => maxPool(f(1, 1, 4, 4), { kernel: [2] }),
    ],
    ["kernel must be 1 integers >= 1, found [0]", () => maxPool(f(1, 1, 4), { kernel: [0] })],
    [
      "padding [2, 2] must be smaller than kernel [2]",
      () => maxPool(f(1, 1, 4), { kernel: [2], padding: 2 }),
    ],
    ["bins must be an integer >= 1, found 0", () => adaptiveAveragePool2d(f(1, 1, 4, 4), [0, 1])],
    [
      "channelAffine([2, 3], [3], [2]): vectors must be [3], found [2]",
      () => channelAffine(f(2, 3), f(3), f(2)),
    ],
    ["input must be [N, C, ...], found [3]", () => channelAffine(f(3), f(3), f(3))],
    ["constant of shape [2] cannot hold 3 values", () => constant([1, 2, 3], { shape: [2] })],
    ["constant of int64 cannot hold 0.5", () => add(i(2), 0.5)],
  ];

  it.each(calls)("%s", (message, call) => {
    expect(call).toThrow(ShapeError);
    expect(call).toThrow(message);
  });
});

describe("an error in a module", () => {
  class Gate extends Module {
    forward(x: Tensor): Tensor {
      return mul(x, constant([1, 2, 3]));
    }
  }
  class Block extends Module {
    readonly gates = [new Gate(), new Gate()];
    forward(x: Tensor): Tensor {
      return this.gates[1]!.forward(x);
    }
  }

  it("names the module's path", () => {
    const net = new Sequential(new Block());
    expect(() => trace(net, { shape: [2, 4] })).toThrow(
      new ShapeError("mul([2, 4], [3]): axis 1 is 4 and 3; sizes must be equal or 1 (in 0.gates.1)"),
    );
  });

  it("names the classes outside of a traced model", () => {
    expect(() => new Block().forward(f(2, 4))).toThrow("(in Block.Gate)");
  });

  it("says that batch statistics need a concrete batch", () => {
    const net = new Sequential(new BatchNorm({ channels: 3 }));
    expect(() => trace(net, { shape: [batch, 3] }, { training: true })).toThrow(
      "size(0) of [batch, 3] needs a concrete batch, found batch (in 0)",
    );
  });
});
