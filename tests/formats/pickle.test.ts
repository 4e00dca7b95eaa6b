import { describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.js";
import { type PickleValue, readPickle } from "../../src/formats/pickle.js";
import { opcodes as op } from "../../src/formats/pickle-opcodes.js";
import { torchGlobals } from "../../src/formats/torch-objects.js";
import { call, dict, global, integer, list, little, pickle, text, tuple } from "./pickles.js";

function read(bytes: Uint8Array): PickleValue {
  const { value, end } = readPickle(bytes, {
    globals: torchGlobals,
    fault: (offset, problem) => new FormatError(`${offset}: ${problem}`),
  });
  expect(end).toBe(bytes.length);
  return value;
}

function refusal(bytes: Uint8Array): string {
  try {
    read(bytes);
  } catch (error) {
    if (error instanceof FormatError) return error.message;
    throw error;
  }
  throw new Error("the pickle was read");
}

describe("readPickle", () => {
  it.each<[string, Parameters<typeof pickle>, PickleValue]>([
    ["None", [op.NONE], null],
    ["True", [op.NEWTRUE], true],
    ["False", [op.NEWFALSE], false],
    ["a byte", [op.BININT1, 200], 200],
    ["two bytes", [op.BININT2, 1, 2], 513],
    ["a negative number", [op.BININT, 0xfe, 0xff, 0xff, 0xff], -2],
    ["an empty long", [op.LONG1, 0], 0],
    ["a short long", [op.LONG1, 1, 0xff], -1],
    ["a long", [op.LONG1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 1], 2n ** 64n],
    ["a long of four bytes' length", [op.LONG4, 2, 0, 0, 0, 0, 1], 256],
    ["a float", [op.BINFLOAT, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0], -1.5],
    ["text", [text("é")], "é"],
    ["short text", [op.SHORT_BINUNICODE, 2, "ab"], "ab"],
    ["long text", [op.BINUNICODE8, little(8, 2), "ab"], "ab"],
    ["text of Python 2", [op.SHORT_BINSTRING, 2, "ab"], "ab"],
    ["longer text of Python 2", [op.BINSTRING, little(4, 2), "ab"], "ab"],
    ["bytes", [op.SHORT_BINBYTES, 2, 255, 0], Uint8Array.of(255, 0)],
    ["longer bytes", [op.BINBYTES, little(4, 1), 7], Uint8Array.of(7)],
    ["long bytes", [op.BINBYTES8, little(8, 1), 7], Uint8Array.of(7)],
    ["a byte array", [op.BYTEARRAY8, little(8, 1), 7], Uint8Array.of(7)],
    ["bytes of protocol 2", [call("_codecs", "encode", text("\u00ff"), text("latin1"))], Uint8Array.of(255)],
    [
      "tuples",
      [op.EMPTY_TUPLE, op.TUPLE1, op.NONE, op.TUPLE2, op.NEWTRUE, op.NONE, op.TUPLE3],
      [[[[]], null], true, null],
    ],
    ["a list", [list(op.NONE, integer(1))], [null, 1]],
    ["a list item by item", [op.EMPTY_LIST, op.NONE, op.APPEND], [null]],
    ["a list of marks", [op.MARK, op.NONE, op.LIST], [null]],
    ["a set", [op.EMPTY_SET, op.MARK, op.BININT1, 1, op.ADDITEMS], [1]],
    ["a frozen set", [op.MARK, op.BININT1, 1, op.FROZENSET], [1]],
    ["a set of protocol 2", [call("__builtin__", "set", list(integer(3)))], [3]],
    [
      "a dictionary",
      [dict({ a: op.NONE, b: list() })],
      new Map<string, PickleValue>([
        ["a", null],
        ["b", []],
      ]),
    ],
    ["a dictionary of marks", [op.MARK, text("a"), op.NONE, op.DICT], new Map([["a", null]])],
    ["keys that are numbers", [op.EMPTY_DICT, op.BININT1, 3, op.NONE, op.SETITEM], new Map([[3, null]])],
    [
      "an OrderedDict",
      [call("collections", "OrderedDict", list(list(text("a"), op.NONE)))],
      new Map([["a", null]]),
    ],
    ["a Counter", [call("collections", "Counter", dict({ a: integer(2) }))], new Map([["a", 2]])],
    ["a size", [call("torch", "Size", tuple(integer(2), integer(3)))], [2, 3]],
    [
      "attributes, which are dropped",
      [dict({ a: op.NONE }), dict({ _metadata: op.NONE }), op.BUILD],
      new Map([["a", null]]),
    ],
    ["a frame", [op.FRAME, little(8, 1), op.NONE], null],
    ["what is popped", [op.NONE, op.NEWTRUE, op.POP, op.MARK, op.NEWTRUE, op.POP_MARK], null],
    ["what is duplicated", [op.BININT1, 4, op.DUP, op.TUPLE2], [4, 4]],
    ["what is stored", [op.BININT1, 4, op.BINPUT, 9, op.BINGET, 9, op.TUPLE2], [4, 4]],
    [
      "what is stored far",
      [op.BININT1, 4, op.LONG_BINPUT, 1, 0, 0, 1, op.LONG_BINGET, 1, 0, 0, 1, op.TUPLE2],
      [4, 4],
    ],
    [
      "what is memoized",
      [op.BININT1, 4, op.MEMOIZE, op.BININT1, 5, op.MEMOIZE, op.BINGET, 0, op.TUPLE3],
      [4, 5, 4],
    ],
    [
      "a global named on the stack",
      [text("collections"), text("OrderedDict"), op.STACK_GLOBAL, op.EMPTY_TUPLE, op.REDUCE],
      new Map(),
    ],
  ])("reads %s", (_, parts, expected) => {
    expect(read(pickle(...parts))).toEqual(expected);
  });

  it("keeps a part that occurs twice one object", () => {
    const shared = [op.EMPTY_LIST, op.BINPUT, 0, op.BINGET, 0, op.TUPLE2];
    const [first, second] = read(pickle(...shared)) as PickleValue[];
    expect(first).toBe(second);
  });

  it("refuses every truncation", () => {
    const bytes = pickle(dict({ w: call("torch", "Size", tuple(integer(2))), x: op.NONE }));
    for (let length = 0; length < bytes.length; length++) {
      expect(refusal(bytes.subarray(0, length))).toMatch(/truncated|without end/);
    }
  });
});

describe("readPickle refuses", () => {
  it.each<[string, string, string]>([
    ["posix", "system", "posix.system"],
    ["builtins", "eval", "builtins.eval"],
    ["__builtin__", "getattr", "__builtin__.getattr"],
    ["torch", "load", "torch.load"],
    ["torch._utils", "_rebuild_tensor_v2 ", "torch._utils._rebuild_tensor_v2 "],
    ["torch _utils", "x", "torch _utils.x"],
    ["numpy.core.multiarray", "_reconstruct", "numpy.core.multiarray._reconstruct"],
    ["constructor", "prototype", "constructor.prototype"],
  ])("the global %s.%s by name, called or not", (module, name, shown) => {
    expect(refusal(pickle(global(module, name)))).toContain(`refers to "${shown}"`);
    expect(refusal(pickle(call(module, name, text("x"))))).toContain(`refers to "${shown}"`);
    expect(refusal(pickle(text(module), text(name), op.STACK_GLOBAL))).toContain(`refers to "${shown}"`);
  });

  it.each<[string, Parameters<typeof pickle>, string]>([
    ["objects of classes", [global("collections", "OrderedDict"), op.EMPTY_TUPLE, 0x81], "opcode 0x81"],
    ["objects of classes with keywords", [op.NONE, op.NONE, op.NONE, 0x92], "opcode 0x92"],
    ["instances", [op.MARK, "ios\nsystem\n"], "opcode 0x69"],
    ["objects", [op.MARK, op.NONE, 0x6f], "opcode 0x6f"],
    ["extension codes", [0x82, 1], "opcode 0x82"],
    ["buffers from outside", [0x97], "opcode 0x97"],
    ["text ids", ["P0\n"], "opcode 0x50"],
    ["persistent ids, where none are known", [op.NONE, op.BINPERSID], "a persistent id"],
    ["calls of a dictionary", [op.EMPTY_DICT, op.EMPTY_TUPLE, op.REDUCE], "calls a dictionary"],
    ["calls of a dtype", [global("torch", "float32"), op.EMPTY_TUPLE, op.REDUCE], "calls a dtype"],
    ["calls without a tuple", [global("torch", "Size"), op.NONE, op.REDUCE], "calls with None"],
    ["the state of a list", [op.EMPTY_LIST, op.EMPTY_DICT, op.BUILD], "sets the state of a list"],
    [
      "the state of a function",
      [global("torch", "Size"), op.EMPTY_DICT, op.BUILD],
      "sets the state of a function",
    ],
    ["items for a tuple", [op.EMPTY_TUPLE, op.NONE, op.APPEND], "items for a tuple"],
    ["items for text", [text("a"), op.NONE, op.APPEND], "items for text"],
    ["keys for a list", [op.EMPTY_LIST, op.NONE, op.NONE, op.SETITEM], "keys for a list"],
    ["a key without value", [op.EMPTY_DICT, op.MARK, op.NONE, op.SETITEMS], "a key without value"],
    ["a tuple as a key", [op.EMPTY_DICT, op.EMPTY_TUPLE, op.NONE, op.SETITEM], "a tuple as a key"],
    ["a global named by a number", [op.BININT1, 1, text("x"), op.STACK_GLOBAL], "named by a number"],
    ["a global's long name", [op.GLOBAL, "x".repeat(300), "\ny\n"], "name without end"],
    ["a global's long name on the stack", [text("x".repeat(300)), text("y"), op.STACK_GLOBAL], "long name"],
    ["an empty stack", [op.POP], "the stack is empty"],
    ["taking what is before a mark", [op.NONE, op.MARK, op.TUPLE1], "the stack is empty"],
    ["a mark that was not opened", [op.NONE, op.TUPLE], "not opened"],
    ["an open mark", [op.NONE, op.MARK], "1 open marks"],
    ["several values", [op.NONE, op.NONE], "ends with 2 values"],
    ["what was not stored", [op.BINGET, 3], "recalls value 3"],
    ["deep marks", [new Uint8Array(1001).fill(op.MARK)], "nesting deeper than 1000"],
    ["text longer than the file", [op.BINUNICODE, little(4, 1000)], "bytes of 1000 bytes reaches beyond"],
    ["text of gigabytes", [op.BINUNICODE, little(4, 2 ** 32 - 1)], "at most 16777216"],
    ["text of exabytes", [op.BINUNICODE8, little(8, 2 ** 62)], "at most 16777216"],
    ["bytes of exabytes", [op.BINBYTES8, little(8, 2 ** 62)], "reaches beyond"],
    ["a frame beyond the end", [op.FRAME, little(8, 2 ** 62)], "a frame of"],
    ["a huge integer", [op.LONG4, little(4, 2 ** 31)], "an integer of 2147483648 bytes"],
    ["text that is not UTF-8", [op.SHORT_BINUNICODE, 1, 0xff], "not UTF-8"],
    ["bytes beyond latin1", [call("_codecs", "encode", text("\u0100"), text("latin1"))], "not latin1"],
    ["other encodings", [call("_codecs", "encode", text("a"), text("rot13"))], "other than latin1"],
    [
      "a dictionary of numbers",
      [call("collections", "OrderedDict", list(integer(1)))],
      "other things than pairs",
    ],
    [
      "too many dimensions",
      [call("torch", "Size", tuple(...Array<number>(65).fill(op.NONE)))],
      "65 dimensions",
    ],
  ])("%s", (_, parts, message) => {
    expect(refusal(pickle(...parts))).toContain(message);
  });

  it("other protocols, and what is no pickle", () => {
    expect(refusal(Uint8Array.of(0x80, 1, op.NONE, op.STOP))).toContain("pickle protocol 1; 2 to 5 are read");
    expect(refusal(Uint8Array.of(0x80, 6, op.NONE, op.STOP))).toContain("pickle protocol 6");
    expect(refusal(new TextEncoder().encode("I1\n."))).toContain("no pickle of protocol 2");
  });

  it("more work than any checkpoint needs", () => {
    const work = /more than 8000000 operations and items/;
    expect(refusal(pickle(new Uint8Array(8_100_000).fill(op.NONE)))).toMatch(work);
    expect(refusal(pickle(new Uint8Array(500_000).fill(op.EMPTY_DICT)))).toMatch(work);
    // A list of 1000 items, copied again and again by three bytes each.
    const items = list(new Uint8Array(1000).fill(op.NONE));
    const copies = Array.from({ length: 9000 }, () => [op.BINGET, 0, op.BINGET, 1, op.REDUCE]);
    const bomb = pickle(global("builtins", "set"), op.BINPUT, 0, items, op.TUPLE1, op.BINPUT, 1, copies);
    expect(refusal(bomb)).toMatch(work);
  });
});
