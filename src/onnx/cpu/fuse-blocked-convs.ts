import type { NodeRecord } from "../graph-records.js";
import { blocksDomain } from "./layout.js";

/** Activations that ONNX Runtime's blocked convolution has within it. */
const activations: ReadonlySet<string> = new Set(["Relu", "Sigmoid", "Tanh"]);

/** Where the sum stands among the operands of a blocked convolution: input, filters, bias, sum. */
const sumIndex = 3;

/** A blocked convolution whose result nothing but one node reads, by itself or under another shape. */
interface OpenConv {
  readonly conv: NodeRecord;
  /** Gives the result its shape; undefined where the convolution's has it. */
  readonly reshape: NodeRecord | undefined;
}

/**
 * Takes sums and activations that follow convolutions in blocks into these: x * w + s, at least zero, is one pass. ONNX Runtime does so
 * for convolutions that it has brought into blocks itself.
 * @param inBlocks whether a value lies in blocks; two such operands of a sum have one shape
 */
export function fuseBlockedConvs(
  nodes: readonly NodeRecord[],
  roots: readonly string[],
  inBlocks: (value: string) => boolean,
): readonly NodeRecord[] {
  const readers = new Map<string, number>();
  for (const value of [...roots, ...nodes.flatMap(({ inputs }) => inputs)]) {
    readers.set(value, (readers.get(value) ?? 0) + 1);
  }
  /** By value; a node that is taken into a later one is no longer among them. */
  const producers = new Map<string, NodeRecord>();
  const put = (node: NodeRecord) => {
    for (const output of node.outputs) producers.set(output, node);
  };
  const producerRead = (value: string) => (readers.get(value) === 1 ? producers.get(value) : undefined);

  for (const node of nodes) {
    const fused = fusedSum(node) ?? fusedActivation(node);
    for (const each of fused ?? [node]) put(each);
  }
  const kept = new Set(producers.values());
  return [...kept];

  /** The convolution behind a value, if it can take in what follows. */
  function openConv(value: string | undefined): OpenConv | undefined {
    const last = value === undefined ? undefined : producerRead(value);
    const reshape = last?.opType === "Reshape" ? last : undefined;
    const conv = reshape ? producerRead(reshape.inputs[0]!) : last;
    const isOpen =
      conv?.opType === "Conv" && conv.domain === blocksDomain && !("activation" in conv.attributes);
    return isOpen ? { conv, reshape } : undefined;
  }

  function fusedSum({ opType, inputs, outputs }: NodeRecord): NodeRecord[] | undefined {
    if (opType !== "Add" || !inputs.every(inBlocks)) return undefined;
    const open = openConv(inputs[1]) ?? openConv(inputs[0]);
    if (!open || open.conv.inputs.length > sumIndex) return undefined;
    const { conv, reshape } = open;
    const result = (reshape ?? conv).outputs[0]!;
    const other = inputs.find((value) => value !== result)!;
    // Under the convolution's own shape, which its input has as well: it is of single elements.
    const image = reshape && producers.get(conv.inputs[0]!);
    if (reshape && image?.opType !== "Reshape") return undefined;
    const view = image && { ...image, name: `${conv.name}/Sum`, inputs: [other, image.inputs[1]!] };
    const sum = view ? `${conv.outputs[0]}:sum` : other;
    const operands = [...conv.inputs, ...Array<string>(sumIndex - conv.inputs.length).fill(""), sum];
    return [...(view ? [{ ...view, outputs: [sum] }] : []), ...closed(open, { inputs: operands }, outputs)];
  }

  function fusedActivation({ opType, domain, inputs, outputs }: NodeRecord): NodeRecord[] | undefined {
    const open = activations.has(opType) && domain === "" ? openConv(inputs[0]) : undefined;
    if (!open) return undefined;
    const attributes = { ...open.conv.attributes, activation: { string: opType } };
    return closed(open, { attributes }, outputs);
  }

  /** A convolution with a change, which gives another node's result, in that node's place: what it reads is there by then. */
  function closed(
    { conv, reshape }: OpenConv,
    change: Partial<NodeRecord>,
    outputs: readonly string[],
  ): NodeRecord[] {
    for (const node of [conv, reshape]) if (node) producers.delete(node.outputs[0]!);
    if (!reshape) return [{ ...conv, ...change, outputs }];
    return [
      { ...conv, ...change },
      { ...reshape, outputs },
    ];
  }
}
