import { mechanismClass } from "../attention/catalogue.js";
import { callsOf, type Mechanism } from "../attention/mechanism.js";
import type { HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import { type Graph, type InputType, namedParameters, trace } from "../graph/model.js";
import { Tensor } from "../graph/tensor.js";
import { loadStateDict } from "../nn/state-dict.js";
import { gradientsOfMany } from "../ops/gradients.js";
import { compile, type RunResult } from "../runtime/executable.js";
import { type Comparison, compareTensors, toleranceFor } from "./compare.js";
import { type GoldenCase, tensorsOf } from "./golden-case.js";

/** Every comparison of a golden case, in the order of its tensors. */
export interface Verification {
  readonly mechanism: string;
  readonly comparisons: readonly Comparison[];
}

/**
 * Builds the case's mechanism, loads its tensors, runs it forward and backward, and compares outputs, gradients, updated buffers and maps.
 * @throws OptionError for an unknown mechanism or refused options; FormatError where the case's tensors do not fit it
 */
export async function verifyCase(golden: GoldenCase): Promise<Verification> {
  const { call = "forward", ...options } = golden.options;
  const type = mechanismClass(golden.mechanism);
  const module = new type(options as never);
  loadStateDict(module, new Map([...tensorsOf(golden, "param"), ...tensorsOf(golden, "buffer")]));
  const inputs = tensorsOf(golden, "input");
  const given = Object.fromEntries(golden.inputs.map((name) => [name, required(inputs, name)]));
  callsOf(type.about, module.options as never)[String(call)]?.check?.(given);
  const result = await runForwardAndBackward(module, golden, { call: String(call), given });
  const computed = (role: string, name: string): HostTensor | undefined => {
    if (role === "bufferAfter") return result.updates[name];
    return result.outputs[`${role}.${name}`];
  };
  const rules = {
    output: "output",
    map: "output",
    bufferAfter: "output",
    gradInput: "gradInput",
    gradParam: "gradParam",
  } as const;
  const zero = new Set(golden.zeroGrads ?? []);
  const comparisons = Object.entries(rules).flatMap(([role, error]) =>
    [...tensorsOf(golden, role)].map(([name, reference]) =>
      compareTensors(`${role}.${name}`, computed(role, name), reference, {
        tolerance: toleranceFor(golden.fp32Error[error]),
        zero: zero.has(`${role}.${name}`),
      }),
    ),
  );
  return { mechanism: golden.mechanism, comparisons };
}

function required(tensors: ReadonlyMap<string, HostTensor>, name: string): HostTensor {
  const tensor = tensors.get(name);
  if (!tensor)
    throw new FormatError(`golden case has no tensor for ${name}; it has ${[...tensors.keys()].join(", ")}`);
  return tensor;
}

/** One graph with outputs, maps and gradients as outputs, named as in the golden file. */
async function runForwardAndBackward(
  module: Mechanism,
  golden: GoldenCase,
  request: { call: string; given: Readonly<Record<string, HostTensor>> },
): Promise<RunResult> {
  const names = golden.inputs;
  const cotangents = [...tensorsOf(golden, "cotangent")].map(
    ([name, tensor]) => [`cotangent.${name}`, tensor] as const,
  );
  const feeds: Record<string, HostTensor> = { ...request.given, ...Object.fromEntries(cotangents) };
  const types = Object.fromEntries(
    Object.entries(feeds).map(([name, { shape, dtype }]): [string, InputType] => [name, { shape, dtype }]),
  );
  const body = (leaves: Readonly<Record<string, Tensor>>) => {
    const methods = module as unknown as Record<
      string,
      (argument: unknown) => Tensor | Record<string, Tensor>
    >;
    const argument =
      names.length === 1 ? leaves[names[0]!] : Object.fromEntries(names.map((name) => [name, leaves[name]!]));
    const result = methods[request.call]!(argument);
    const outputs = result instanceof Tensor ? { [golden.outputs[0]!]: result } : result;
    const targets = [
      ...names
        .filter((name) => leaves[name]!.dtype === "float32")
        .map((name) => [`gradInput.${name}`, leaves[name]!] as const),
      ...[...namedParameters(module)].map(([path, variable]) => [`gradParam.${path}`, variable] as const),
    ];
    const roots = cotangents.map(([name]) => ({
      output: outputs[name.slice("cotangent.".length)]!,
      cotangent: leaves[name]!,
    }));
    const gradients = gradientsOfMany(
      roots,
      targets.map(([, tensor]) => tensor),
    );
    return {
      ...Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [`output.${name}`, tensor])),
      ...Object.fromEntries(targets.map(([name], index) => [name, gradients[index]!])),
    };
  };
  const graph = trace(body, types, { training: golden.mode === "train", model: module });
  const executable = await compile({
    ...graph,
    outputs: new Map([...graph.outputs, ...mapOutputs(module, graph)]),
  });
  try {
    return await executable.run(feeds);
  } finally {
    await executable.close();
  }
}

/** The mechanism's attention maps under their canonical names. */
function mapOutputs(module: Mechanism, graph: Graph): [string, Tensor][] {
  const about = (module.constructor as unknown as ReturnType<typeof mechanismClass>).about;
  return Object.entries(about.maps(module.options as never)).flatMap(([name, { tap = name }]) => {
    const tensor = graph.taps.get(tap);
    return tensor ? [[`map.${name}`, tensor] as [string, Tensor]] : [];
  });
}
