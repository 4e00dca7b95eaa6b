import { elementCount } from "../base/dtype.js";
import { nodeEvents, type ProfiledShape } from "./profile-events.js";

/** What a node of a profiled session cost. */
export interface NodeTime {
  /** Its name after ONNX Runtime's rewriting. */
  readonly name: string;
  /** Path of the module that it belongs to; empty for the root and for nodes that ONNX Runtime has added. */
  readonly module: string;
  readonly operator: string;
  /** Median over the runs that count. */
  readonly milliseconds: number;
  /** Floating-point operations of products and convolutions: two per multiply-accumulate. */
  readonly operations: number;
  /** Bytes of its operands and results; none where the result is the operand's memory. */
  readonly bytes: number;
}

/**
 * Time and work of every node, from a profile.
 * @param warmUps runs of the session that do not count; at least one more has to be in the profile
 * @throws FormatError for text that is no profile
 */
export function nodeTimes(profile: string, { warmUps }: { readonly warmUps: number }): NodeTime[] {
  const durations = new Map<string, number[]>();
  const nodes = new Map<string, Omit<NodeTime, "milliseconds">>();
  for (const { node, operator, duration, inputs, outputs } of nodeEvents(profile)) {
    const known = durations.get(node);
    if (known) {
      known.push(duration);
      continue;
    }
    durations.set(node, [duration]);
    const shapes = { inputs: inputs.map(shapeOf), outputs: outputs.map(shapeOf) };
    nodes.set(node, {
      name: node,
      module: moduleOf(node),
      operator,
      operations: operationsOf(operator, shapes.inputs, shapes.outputs),
      bytes: views.has(operator)
        ? 0
        : [...inputs, ...outputs].reduce((sum, shape) => sum + bytesOf(shape), 0),
    });
  }
  return [...nodes.values()].map((node) => ({
    ...node,
    milliseconds: median(durations.get(node.name)!.slice(warmUps)) / 1000,
  }));
}

/** Operators that give their operand another shape. */
const views = new Set(["Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"]);

/** Nodes are named MODULE/OPERATOR_n; ONNX Runtime's fusions put a word before that and more after it. */
function moduleOf(name: string): string {
  const plain = name.replace(/^fused /, "");
  const end = plain.indexOf("/");
  return end < 0 ? "" : plain.slice(0, end);
}

function shapeOf(shape: ProfiledShape): readonly number[] {
  return Object.values(shape)[0] ?? [];
}

const bytesPerElement: Readonly<Record<string, number>> = {
  double: 8,
  int64: 8,
  float16: 2,
  bool: 1,
  uint8: 1,
  int8: 1,
};

function bytesOf(shape: ProfiledShape): number {
  return Object.entries(shape).reduce(
    (sum, [type, sizes]) => sum + elementCount(sizes) * (bytesPerElement[type] ?? 4),
    0,
  );
}

function operationsOf(
  operator: string,
  inputs: readonly (readonly number[])[],
  [output = []]: readonly (readonly number[])[],
): number {
  const [a = [], b = []] = inputs;
  if (/^(Nhwc)?(Fused)?Conv$/.test(operator)) return 2 * elementCount(output) * perFilter(b);
  if (operator === "ConvTranspose") return 2 * elementCount(a) * perFilter(b);
  if (/^(Fused)?(MatMul|Gemm)$/.test(operator)) return 2 * elementCount(output) * innerSize(a, b, output);
  return 0;
}

function perFilter(weight: readonly number[]): number {
  return weight.length === 0 ? 0 : elementCount(weight.slice(1));
}

/** The axis that a product sums over, whichever of its operands are transposed: (M K)(K N) / (M N) is its square. */
function innerSize(...[a, b, output]: readonly (readonly number[])[]): number {
  const matrix = (shape: readonly number[]) => elementCount(shape.slice(-2));
  return Math.sqrt((matrix(a!) * matrix(b!)) / Math.max(1, matrix(output!)));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y);
  return sorted[sorted.length >> 1] ?? 0;
}
