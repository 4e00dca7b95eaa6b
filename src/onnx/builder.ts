import { create } from "@bufbuild/protobuf";
import { bytesPerElement, type DType, elementCount, type HostTensor } from "../base/dtype.js";
import { FormatError } from "../base/errors.js";
import type { Emitter, OnnxAttributes, Target } from "../graph/emitter.js";
import { bytesOf, encodeModel, type Initializer } from "./encode-model.js";
import { OperatorSetIdProtoSchema, StringStringEntryProtoSchema } from "./generated/onnx_pb.js";
import {
  identity,
  type NodeRecord,
  needed,
  type OnnxSize,
  type OutputRecord,
  type ValueRecord,
} from "./graph-records.js";
import { type Guard, withGuard } from "./guarded-outputs.js";
import { domainVersions, irVersionOf } from "./opset.js";
import { nodeProto, valueInfo } from "./protos.js";

/** What `ModelBuilder.build` writes beside the graph. */
export interface BuildOptions {
  /** Version of fovea, the model's producer. */
  readonly producerVersion: string;
  /** Key-value pairs of the model (metadata_props). */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Bytes of a constant that enter its hash; candidates are compared whole. */
const hashedBytes = 1024;

/**
 * Builds an ONNX model node by node and encodes it.
 *
 * Values are named `scope/OpType_n`, counted per scope and operator, so that names stay the same when other parts of a
 * model change. Arrays of constants and initializers are not copied: leave them unchanged until `build`.
 */
export class ModelBuilder implements Emitter {
  readonly target: Target;
  /** Module path that the names of the nodes that follow begin with; empty for none. */
  scope = "";
  readonly #nodes: NodeRecord[] = [];
  readonly #inputs: ValueRecord[] = [];
  readonly #outputs: OutputRecord[] = [];
  #guard: Guard | undefined;
  /** Initializers that no run replaces, by name. */
  readonly #initializers = new Map<string, Initializer>();
  readonly #constants = new Map<string, Initializer[]>();
  /** Names of all values that nodes can refer to; true where a node produces the value. */
  readonly #values = new Map<string, boolean>();
  readonly #outputNames = new Set<string>();
  /** Other forms of values, by kind and value. */
  readonly #forms = new Map<string, Map<string, string>>();
  readonly #counters = new Map<string, number>();
  readonly #domains = new Set<string>();
  readonly #withholdsSizes: boolean;
  /** Sizes that are withheld: initializers that are inputs as well, by their values. */
  readonly #sizes = new Map<string, ValueRecord & Initializer>();

  /** @param options.withholdsSizes declares the sizes of Reshape nodes as something that a run may change, so that nobody relies on them */
  constructor(target: Target, { withholdsSizes = false }: { readonly withholdsSizes?: boolean } = {}) {
    irVersionOf(target.opset);
    this.target = target;
    this.#withholdsSizes = withholdsSizes;
  }

  /** Number of nodes so far. */
  get nodeCount(): number {
    return this.#nodes.length;
  }

  node(opType: string, inputs: readonly string[], attributes?: OnnxAttributes, domain?: string): string {
    return this.nodes(opType, inputs, 1, attributes, domain)[0]!;
  }

  nodes(
    opType: string,
    inputs: readonly string[],
    outputs: number,
    attributes: OnnxAttributes = {},
    domain = "",
  ): string[] {
    const name = this.#fresh(this.scope === "" ? opType : `${this.scope}/${opType}`);
    this.#useDomain(domain, name);
    for (const input of inputs) {
      if (input !== "") this.#requireValue(input, name);
    }
    const names = outputs === 1 ? [name] : Array.from({ length: outputs }, (_, i) => `${name}:${i}`);
    for (const output of names) this.#define(output, true);
    this.#nodes.push({ name, opType, domain, inputs: [...inputs], outputs: names, attributes });
    return names;
  }

  form(value: string, kind: string): string | undefined {
    return this.#forms.get(kind)?.get(value);
  }

  addForm(value: string, kind: string, other: string): void {
    const forms = this.#forms.get(kind) ?? new Map<string, string>();
    this.#forms.set(kind, forms.set(value, other));
  }

  /** The values that are such a form of another one. */
  formsOf(kind: string): ReadonlySet<string> {
    return new Set(this.#forms.get(kind)?.values());
  }

  /** Puts nodes of equal results in the place of those so far. @param rule of nodes, and of what is read from outside of them */
  replaceNodes(
    rule: (nodes: readonly NodeRecord[], roots: readonly string[]) => readonly NodeRecord[],
  ): void {
    const nodes = rule(this.#nodes, this.#roots());
    for (const name of nodes.flatMap(({ outputs }) => outputs)) {
      if (!this.#values.has(name)) this.#define(name, true);
    }
    this.#nodes.splice(0, this.#nodes.length, ...nodes);
  }

  /** What the model gives, and what decides on it. */
  #roots(): string[] {
    return [
      ...this.#outputs.map(({ value }) => value),
      ...(this.#guard ? [this.#guard.condition, ...this.#guard.otherwise.values()] : []),
    ];
  }

  /** Leaves out the nodes that no output depends on, and constants and weights that none of the others reads. */
  prune(): void {
    const roots = this.#roots();
    const kept = needed(this.#nodes, roots);
    this.#nodes.splice(0, this.#nodes.length, ...kept);
    const read = new Set([...roots, ...kept.flatMap(({ inputs }) => inputs)]);
    for (const [key, candidates] of this.#constants) {
      this.#constants.set(
        key,
        candidates.filter(({ name }) => read.has(name)),
      );
    }
    for (const name of this.#initializers.keys()) if (!read.has(name)) this.#initializers.delete(name);
  }

  value(name: string): HostTensor | undefined {
    return this.#initializers.get(name)?.tensor;
  }

  constant(tensor: HostTensor): string {
    checkTensor("a constant", tensor);
    const bytes = bytesOf(tensor);
    const key = `${tensor.dtype}[${tensor.shape.join()}]${hash(bytes)}`;
    let candidates = this.#constants.get(key);
    if (candidates === undefined) {
      candidates = [];
      this.#constants.set(key, candidates);
    }
    for (const candidate of candidates) {
      if (equalBytes(bytes, bytesOf(candidate.tensor))) return candidate.name;
    }
    const entry = { name: this.#fresh("const"), tensor };
    candidates.push(entry);
    this.#define(entry.name, false);
    this.#initializers.set(entry.name, entry);
    return entry.name;
  }

  sizes(values: readonly number[]): string {
    const data = BigInt64Array.from(values, BigInt);
    const tensor = { dtype: "int64", shape: [values.length], data } as const;
    if (!this.#withholdsSizes) return this.constant(tensor);
    const key = values.join();
    const known = this.#sizes.get(key);
    if (known) return known.name;
    const name = this.#fresh("sizes");
    this.#define(name, false);
    this.#sizes.set(key, { name, dtype: "int64", shape: tensor.shape, tensor });
    return name;
  }

  /** Declares an input of the model and returns its name. */
  input(name: string, dtype: DType, shape: readonly OnnxSize[]): string {
    checkSizes(`input '${name}'`, shape);
    this.#define(name, false);
    this.#inputs.push({ name, dtype, shape: [...shape] });
    return name;
  }

  /** Adds a named initializer (a weight) and returns its name. */
  initializer(name: string, tensor: HostTensor): string {
    checkTensor(`initializer '${name}'`, tensor);
    this.#define(name, false);
    this.#initializers.set(name, { name, tensor });
    return name;
  }

  /**
   * Makes `value` an output of the model under a public name. The node that produces the value is renamed; an Identity
   * is added only where the value is an input, an initializer or an output already. `value` remains its name for
   * further nodes.
   */
  output(name: string, dtype: DType, shape: readonly OnnxSize[], value: string): void {
    checkSizes(`output '${name}'`, shape);
    this.#requireValue(value, `output '${name}'`);
    if (name === "" || this.#outputNames.has(name) || this.#values.get(name) === false) {
      throw new FormatError(`output '${name}': the name is empty or taken by another value of the model`);
    }
    this.#outputNames.add(name);
    this.#outputs.push({ name, dtype, shape: [...shape], value });
  }

  /** Gives outputs other values where a condition does not hold; what they need alone is then not computed. */
  guard(guard: Guard): void {
    for (const value of [guard.condition, ...guard.otherwise.values()])
      this.#requireValue(value, "the guard");
    this.#guard = guard;
  }

  /** Encodes the model. @throws FormatError if it is larger than a protocol-buffer message can be. */
  build(options: BuildOptions): Uint8Array {
    const { nodes, outputs } = this.#guarded();
    const { renamed, identities } = this.#publicNames(outputs);
    const model = {
      irVersion: BigInt(irVersionOf(this.target.opset)),
      producerName: "fovea",
      producerVersion: options.producerVersion,
      opsetImport: [
        create(OperatorSetIdProtoSchema, { domain: "", version: BigInt(this.target.opset) }),
        ...[...this.#domains]
          .sort()
          .map((domain) =>
            create(OperatorSetIdProtoSchema, { domain, version: BigInt(domainVersions[domain]!) }),
          ),
      ],
      metadataProps: Object.entries(options.metadata ?? {}).map(([key, value]) =>
        create(StringStringEntryProtoSchema, { key, value }),
      ),
    };
    const graph = {
      name: "fovea",
      node: [...nodes, ...identities].map((node) => nodeProto(node, renamed)),
      input: [...this.#inputs, ...this.#sizes.values()].map(valueInfo),
      output: this.#outputs.map(valueInfo),
    };
    const initializers = [...this.#initializers.values(), ...this.#sizes.values()].map(
      ({ name, tensor }) => ({
        name: renamed.get(name) ?? name,
        tensor,
      }),
    );
    return encodeModel(model, graph, initializers);
  }

  /** Nodes and outputs, behind the guard where there is one. */
  #guarded(): { nodes: readonly NodeRecord[]; outputs: readonly OutputRecord[] } {
    const graph = { nodes: this.#nodes, outputs: this.#outputs };
    if (this.#guard === undefined) return graph;
    const names = this.#outputs.map(() => {
      const name = this.#fresh("guard");
      this.#define(name, true);
      return name;
    });
    return withGuard(graph, this.#guard, names);
  }

  /** Final names of values that differ from those they were made under, and the Identity nodes that outputs need. */
  #publicNames(outputs: readonly OutputRecord[]): {
    renamed: ReadonlyMap<string, string>;
    identities: readonly NodeRecord[];
  } {
    const renamed = new Map<string, string>();
    const identities: NodeRecord[] = [];
    for (const { name, value } of outputs) {
      if (this.#values.get(value) === true && !renamed.has(value)) renamed.set(value, name);
      else identities.push(identity(name, value));
    }
    // An inner value that happens to carry the public name of another one makes room.
    for (const name of this.#outputNames) {
      if (!this.#values.has(name) || renamed.has(name)) continue;
      let other = `${name}_`;
      while (this.#values.has(other) || this.#outputNames.has(other)) other += "_";
      renamed.set(name, other);
    }
    return { renamed, identities };
  }

  #fresh(prefix: string): string {
    let count = this.#counters.get(prefix) ?? 0;
    let name = `${prefix}_${count++}`;
    while (this.#values.has(name) || this.#outputNames.has(name)) name = `${prefix}_${count++}`;
    this.#counters.set(prefix, count);
    return name;
  }

  #define(name: string, produced: boolean): void {
    if (name === "" || this.#values.has(name)) {
      throw new FormatError(`value '${name}': the name is empty or taken by another value of the model`);
    }
    if (!produced && this.#outputNames.has(name)) {
      throw new FormatError(`value '${name}': the name is taken by an output of the model`);
    }
    this.#values.set(name, produced);
  }

  #requireValue(name: string, user: string): void {
    if (!this.#values.has(name)) throw new FormatError(`${user} uses value '${name}', which nothing defines`);
  }

  #useDomain(domain: string, node: string): void {
    if (domain === "" || this.#domains.has(domain)) return;
    if (domainVersions[domain] === undefined) {
      throw new FormatError(
        `${node}: unknown operator domain '${domain}'; known are ${Object.keys(domainVersions).join(", ")}`,
      );
    }
    if (this.target.kind === "portable") {
      throw new FormatError(
        `${node}: domain '${domain}' in a portable model, which has standard operators only`,
      );
    }
    this.#domains.add(domain);
  }
}

function checkSizes(what: string, shape: readonly OnnxSize[]): void {
  for (const size of shape) {
    if (typeof size === "number" ? !Number.isSafeInteger(size) || size < 0 : size === "") {
      throw new FormatError(`${what}: [${shape.join()}] is no shape; sizes are whole numbers or names`);
    }
  }
}

function checkTensor(what: string, { dtype, shape, data }: HostTensor): void {
  checkSizes(what, shape);
  const bytes = elementCount(shape) * bytesPerElement[dtype];
  if (bytes !== data.byteLength) {
    throw new FormatError(
      `${what}: ${dtype} of shape [${shape.join()}] takes ${bytes} bytes, found ${data.byteLength}`,
    );
  }
}

/** FNV-1a over the first bytes. */
function hash(bytes: Uint8Array): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < bytes.length && i < hashedBytes; i++) h = Math.imul(h ^ bytes[i]!, 0x01000193);
  return h >>> 0;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
