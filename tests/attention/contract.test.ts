import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AnyMechanismClass, mechanismClasses } from "../../src/attention/catalogue.js";
import { mapTensors } from "../../src/attention/maps.js";
import type { Mechanism } from "../../src/attention/mechanism.js";
import {
  describeOptions,
  type OptionDescription,
  type OptionType,
} from "../../src/attention/option-description.js";
import { dtypesOf } from "../../src/attention/signature.js";
import { resolveShape, type Sizes } from "../../src/attention/sizes.js";
import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { OptionError, ShapeError } from "../../src/base/errors.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readSafetensors, writeSafetensors } from "../../src/formats/safetensors.js";
import { hostCallsOf } from "../../src/graph/host-call.js";
import { type Graph, type InputType, parameterCount } from "../../src/graph/model.js";
import { batch, formatShape } from "../../src/graph/size.js";
import type { Tensor } from "../../src/graph/tensor.js";
import { loadStateDict, stateDict } from "../../src/nn/state-dict.js";
import { decodeModel } from "../../src/onnx/decoder.js";
import { exportOnnx } from "../../src/onnx/export.js";
import { graphCost } from "../../src/report/cost.js";
import { compile, type Executable } from "../../src/runtime/executable.js";
import { defaultRuntime } from "../../src/runtime/provider.js";
import { compareTensors } from "../../src/verify/compare.js";
import { gradientSteps, type StepResult } from "./gradient-step.js";
import { build, hasBatch, type Trial, traceCall, trialsOf, typesOf, valuesOf } from "./trial.js";

describe.each(mechanismClasses().map((type) => [type.about.id, type] as const))("%s", (_id, type) => {
  describeMetadata(type);
  describeRefusals(type);
  for (const [index] of type.about.examples.entries()) {
    for (const trial of trialsOf(type, index)) {
      describe(`example ${index}, ${trial.call}`, () => describeCall(trial, index));
    }
  }
});

describe("catalogue", () => {
  it("has every id once", () => {
    const ids = mechanismClasses().map((type) => type.about.id);
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
  });
});

/** Form of what is declared. */
function describeMetadata({ about }: AnyMechanismClass): void {
  it("declares well-formed metadata", () => {
    expect(about.id).toMatch(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    expect(about.name.trim()).toBe(about.name);
    expect(about.name).not.toBe("");
    expect(about.paper).toMatch(/^.+: .+, .+/);
    expect(about.year).toBeGreaterThanOrEqual(1990);
    expect(about.year).toBeLessThanOrEqual(new Date().getFullYear());
    if (about.arxiv !== undefined) {
      expect(about.arxiv).toMatch(/^\d{2}(0[1-9]|1[0-2])\.\d{4,5}$/);
      expect(2000 + Number(about.arxiv.slice(0, 2))).toBeLessThanOrEqual(about.year);
    }
    expect(about.formula.trim()).not.toBe("");
    expect(unbalanced(about.formula)).toBe("");
  });
}

/** Braces and \left, \right of a TeX formula that have no partner. */
function unbalanced(formula: string): string {
  const open: string[] = [];
  for (const [token] of formula.matchAll(/\\left(?![a-z])|\\right(?![a-z])|\\.|[{}]/g)) {
    if (token === "{" || token === "\\left") open.push(token);
    const partner = token === "}" ? "{" : token === "\\right" ? "\\left" : undefined;
    if (partner && open.pop() !== partner) return `${token} in ${formula}`;
  }
  return open.join(" ");
}

/** Options that the specification or the schema forbids. */
function describeRefusals(type: AnyMechanismClass): void {
  const { about } = type;
  const valid = about.examples[0].options as Readonly<Record<string, unknown>>;
  const refusal = (options: unknown): string => {
    try {
      new type(options as never);
    } catch (error) {
      expect(error).toBeInstanceOf(OptionError);
      return (error as Error).message;
    }
    throw new Error(`${about.id} accepts ${JSON.stringify(options)}`);
  };

  it.each(about.refused.map((entry) => [show(entry), entry] as const))("refuses %s", (_text, entry) => {
    const message = refusal({ ...valid, ...entry });
    const names = Object.keys(entry);
    expect(
      names.some((name) => message.includes(name)),
      `"${message}" names none of ${names}`,
    ).toBe(true);
    // A rule between two options may be reported at either.
    const defaults = describeOptions(about.options).map((option) => option.default);
    const values = [...Object.values({ ...valid, ...entry }).flatMap(leaves), ...defaults, undefined];
    expect(
      values.some((value) => withoutBrackets(message).includes(withoutBrackets(`is ${show(value)}`))),
      `"${message}" shows no value`,
    ).toBe(true);
    expect(message, "no rule").toMatch(/(must be|: ).{3,}/);
  });

  it("refuses what its option schema forbids", () => {
    for (const option of describeOptions(about.options)) {
      for (const value of forbidden(option)) {
        const message = refusal({ ...valid, [option.name]: value });
        expect(message).toContain(option.name);
        expect(message).toContain(show(leaves(value)[0]));
        expect(message).toMatch(/must be .+/);
      }
      if (option.required) {
        const { [option.name]: _left, ...others } = valid;
        expect(refusal(others)).toContain(`${option.name} is missing`);
      }
    }
  });

  it("refuses unknown options and what are no options", () => {
    expect(refusal({ ...valid, nonsense: 1 })).toContain("nonsense");
    expect(refusal(undefined)).toContain(about.id);
    expect(refusal(3)).toContain("3");
  });
}

/** Values that an option's type forbids. */
function forbidden(option: OptionDescription): unknown[] {
  const values = wrongValues(option.type);
  return option.nullable ? values : [...values, null];
}

function wrongValues(type: OptionType): unknown[] {
  if (type.alternatives) {
    const lists = type.alternatives.map(wrongValues);
    return lists[0]!.filter((value) => lists.every((list) => list.some((other) => Object.is(other, value))));
  }
  const tooSmall = type.minimum ? [type.minimum.value - (type.minimum.exclusive ? 0 : 1), -1e6] : [];
  const tooLarge = type.maximum ? [type.maximum.value + (type.maximum.exclusive ? 0 : 1)] : [];
  switch (type.kind) {
    case "integer":
      return [Number.NaN, Number.POSITIVE_INFINITY, "text", true, {}, 1.5, ...tooSmall, ...tooLarge];
    case "number":
      return [Number.NaN, Number.POSITIVE_INFINITY, "text", true, {}, ...tooSmall, ...tooLarge];
    case "boolean":
      return [Number.NaN, 1, "true", {}];
    case "choice":
      return [Number.NaN, "nonsense", 1e6, {}];
    case "string":
      return [Number.NaN, 1, {}];
    case "list":
      return [
        Number.NaN,
        "text",
        {},
        ...(type.elements ? wrongValues(type.elements).map((value) => [value]) : []),
      ];
    default:
      return [];
  }
}

/** So that a list shows its first element. */
function withoutBrackets(text: string): string {
  return text.replaceAll("[", "");
}

function leaves(value: unknown): unknown[] {
  return Array.isArray(value) && value.length > 0 ? value.flatMap(leaves) : [value];
}

/** As errors show it: an option that is undefined is missing. */
function show(value: unknown): string {
  if (value === undefined) return "missing";
  return typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
}

/** What holds for one call of an example. */
function describeCall(trial: Trial, index: number): void {
  const { type, module, call, signature, sizes } = trial;
  const { about } = type;
  const example = about.examples[index]!;
  const small: Sizes = { ...sizes, batch: 1 };
  let graph: Graph;
  let direct: Executable;
  let outputs: Record<string, HostTensor>;

  beforeAll(async () => {
    graph = traceCall(trial, typesOf(trial, sizes));
    direct = await compileWithMaps(module, graph);
    ({ outputs } = await direct.run(valuesOf(trial, sizes)));
  });
  afterAll(() => direct?.close());

  it("gives outputs of the declared shapes", () => {
    expect([...graph.outputs.keys()].sort()).toEqual(Object.keys(signature.outputs).sort());
    for (const [name, shape] of Object.entries(signature.outputs)) {
      if (shape.includes("...")) continue;
      expect(formatShape(graph.outputs.get(name)!.shape), name).toBe(formatShape(resolveShape(shape, sizes)));
    }
    for (const [name, { data }] of Object.entries(outputs)) {
      expect(
        [...data].findIndex((value) => !Number.isFinite(Number(value))),
        `${name} is not finite`,
      ).toBe(-1);
    }
  });

  it("has the declared number of parameters", () => {
    expect(parameterCount(module)).toBe(about.parameters(module.options as never));
  });

  if (call === "forward") {
    it("has the declared multiply-accumulates", () => {
      const cost = graphCost(graph.outputs.values());
      expect(cost.macs, describeCost(cost.byModule)).toBe(about.macs(module.options as never, sizes));
    });
  }

  it("makes maps of the declared shape, range and sums", () => {
    for (const [name, map] of Object.entries(about.maps(module.options as never))) {
      if (map.calls && !map.calls.includes(call)) continue;
      const found = outputs[`map:${name}`];
      const taps = [...graph.taps.keys()].join(", ");
      if (!found) throw new Error(`map ${name} has no tap ${map.tap ?? name}; the taps are ${taps}`);
      if (!map.shape.includes("...")) {
        expect(formatShape(found.shape), `shape of ${name}`).toBe(
          formatShape(resolveShape(map.shape, sizes)),
        );
      }
      const values = [...found.data].map(Number);
      const [low, high] = map.range ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
      const outside = values.find((value) => !(value >= low - 1e-6 && value <= high + 1e-6));
      expect(outside, `${name} leaves [${low}, ${high}]`).toBeUndefined();
      for (const sum of map.sumsToOne ? sums(found, map.sumsToOne) : []) {
        expect(sum, `sum of ${name} over axes ${map.sumsToOne}`).toBeCloseTo(1, 5);
      }
    }
  });

  it("gives equal outputs from its saved state", async () => {
    const bytes = writeSafetensors(stateDict(module));
    const { tensors } = readSafetensors(bytes);
    const other = build(type, example.options);
    loadStateDict(other, new Map([...tensors].map(([name, tensor]) => [name, toHostTensor(tensor)])));
    expect(stateDict(other)).toEqual(stateDict(module));
    const executable = await compileWithMaps(
      other,
      traceCall({ ...trial, module: other }, typesOf(trial, sizes)),
    );
    try {
      expect((await executable.run(valuesOf(trial, sizes))).outputs).toEqual(outputs);
    } finally {
      await executable.close();
    }
  });

  it("lowers a loss by a step over its parameters, and by one over its input", async () => {
    const { parameters, inputs } = await gradientSteps(trial);
    expect(parameters !== undefined).toBe(parameterCount(module) > 0);
    for (const [over, result] of Object.entries({ parameters, inputs })) expectDescent(over, result);
  });

  it("refuses inputs that do not fit", () => {
    const types = typesOf(trial, sizes);
    for (const [name, wrong] of wrongTypes(trial, types)) {
      const found = `${wrong.dtype} ${formatShape(wrong.shape)}`;
      const message = shapeErrorOf(() => traceCall(trial, { ...types, [name]: wrong }));
      expect(message, `${name} as ${found}`).toContain(`${type.name}.${call}`);
      expect(message, `${name} as ${found}`).toContain(formatShape(wrong.shape));
    }
    for (const name of Object.keys(types).filter((key) => !signature.inputs[key]!.optional)) {
      const { [name]: _left, ...others } = types;
      const message = shapeErrorOf(() => traceCall(trial, others));
      expect(message, `without ${name}`).toContain(`${type.name}.${call}: input ${name}`);
      expect(message, `without ${name}`).toContain("found none");
    }
  });

  it("is exported with equal numbers", async () => {
    const symbolic = hasBatch(trial) && !signature.concreteBatch;
    if (hasBatch(trial) && signature.concreteBatch) {
      expect(() => traceCall(trial, typesOf(trial, { ...sizes, batch }))).toThrow(ShapeError);
    }
    if (hostCallsOf(graph.outputs.values()).length > 0) {
      expect(() => exportOnnx(graph)).toThrow("export what comes before the call");
      return;
    }
    const cases = hasBatch(trial)
      ? [
          { size: sizes, expected: outputs },
          { size: small, expected: await runOnce(trial, small) },
        ]
      : [{ size: sizes, expected: outputs }];
    for (const opset of [18, 21]) {
      const shared = symbolic ? await loadExport(trial, { ...sizes, batch }, opset) : undefined;
      for (const { size, expected } of cases) {
        const session = shared ?? (await loadExport(trial, size, opset));
        const where = `opset ${opset}, batch ${size.batch}`;
        expectEqual(await session.run(valuesOf(trial, size)), expected, where);
        if (!shared) await session.close();
      }
      await shared?.close();
    }
  });
}

/** A graph with its maps as further outputs, `map:name`. */
async function compileWithMaps(module: Mechanism, graph: Graph): Promise<Executable> {
  const { about } = module.constructor as AnyMechanismClass;
  const maps = [...mapTensors(about.maps(module.options as never), graph.taps)];
  const named = maps.map(([name, tensor]): [string, Tensor] => [`map:${name}`, tensor]);
  return compile({ ...graph, outputs: new Map([...graph.outputs, ...named]) });
}

async function runOnce(trial: Trial, sizes: Sizes): Promise<Record<string, HostTensor>> {
  const executable = await compile(traceCall(trial, typesOf(trial, sizes)));
  try {
    return (await executable.run(valuesOf(trial, sizes))).outputs;
  } finally {
    await executable.close();
  }
}

/** Exports a call as standard ONNX and loads it back. */
async function loadExport(trial: Trial, sizes: Parameters<typeof typesOf>[1], opset: number) {
  const { bytes, usedInputs } = exportOnnx(traceCall(trial, typesOf(trial, sizes)), { opset });
  const model = decodeModel(bytes);
  expect(model.nodes.filter(({ domain }) => domain !== "")).toEqual([]);
  expect([...model.opsets]).toEqual([["", opset]]);
  const session = await defaultRuntime().createSession(bytes);
  return {
    run: (values: Record<string, HostTensor>) =>
      session.run(Object.fromEntries(Object.entries(values).filter(([name]) => usedInputs.includes(name)))),
    close: () => session.close(),
  };
}

function expectEqual(
  computed: Record<string, HostTensor>,
  expected: Record<string, HostTensor>,
  where: string,
): void {
  for (const [name, reference] of Object.entries(expected)) {
    if (name.startsWith("map:")) continue;
    const comparison = compareTensors(name, computed[name], reference, { tolerance: 1e-5 });
    expect(comparison.passed, `${where}: ${name} ${comparison.problem}`).toBe(true);
  }
}

function expectDescent(over: string, result: StepResult | undefined): void {
  if (!result) return;
  const { before, after, promised } = result;
  expect(promised, `loss over ${over}`).toBeGreaterThan(0);
  expect(before - after, `decrease by a step over ${over}`).toBeGreaterThan(promised / 2);
}

/** Inputs of another rank, dtype, or fixed size. */
function wrongTypes(trial: Trial, types: Readonly<Record<string, InputType>>): [string, InputType][] {
  return Object.entries(types).flatMap(([name, { shape, dtype = "float32" }]) => {
    const { shape: declared } = trial.signature.inputs[name]!;
    const taken = dtypesOf(trial.signature.inputs[name]!);
    const other = (["float32", "int64"] as const).find((candidate) => !taken.includes(candidate))!;
    const wrong: InputType[] = [{ shape, dtype: other }];
    if (!declared.includes("...")) {
      wrong.push({ shape: [...shape, 1], dtype });
      if (shape.length > 0) wrong.push({ shape: shape.slice(1), dtype });
      for (const [axis, size] of declared.entries()) {
        if (typeof size === "number") wrong.push({ shape: shape.with(axis, size + 1), dtype });
      }
    }
    return wrong.map((type): [string, InputType] => [name, type]);
  });
}

function shapeErrorOf(body: () => unknown): string {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(ShapeError);
    return (error as Error).message;
  }
  throw new Error("accepted");
}

/** Sums of a tensor over axes together, one for each place along the others. */
function sums({ shape, data }: HostTensor, axes: readonly number[]): number[] {
  const totals = new Map<string, number>();
  const strides = shape.map((_, axis) => elementCount(shape.slice(axis + 1)));
  for (const [at, value] of data.entries()) {
    const place = strides.map((stride, axis) => Math.floor(at / stride) % shape[axis]!);
    const key = place.filter((_, axis) => !axes.includes(axis) && !axes.includes(axis - shape.length)).join();
    totals.set(key, (totals.get(key) ?? 0) + Number(value));
  }
  return [...totals.values()];
}

function describeCost(byModule: ReadonlyMap<string, { readonly macs: number }>): string {
  return [...byModule].map(([path, { macs }]) => `${path || "in all"} ${macs}`).join(", ");
}
