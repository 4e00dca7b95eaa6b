import { joinPath } from "../../graph/model.js";
import type { FlamePart } from "../../report/flame-chart.js";
import type { NodeTime } from "../../runtime/profile-times.js";

/** What a group of nodes cost. */
export interface Share {
  readonly name: string;
  readonly nodes: number;
  readonly milliseconds: number;
  /** Share of the time of all nodes. */
  readonly share: number;
  /** Achieved rate of products and convolutions; null where there are none. */
  readonly gigaflopsPerSecond: number | null;
  /** Achieved rate at which operands and results were read and written; null where none are. */
  readonly gigabytesPerSecond: number | null;
}

/** Nodes by the groups that each belongs to, the most expensive first. */
export function sharesOf(
  nodes: readonly NodeTime[],
  groupsOf: (node: NodeTime) => readonly string[],
): Share[] {
  const groups = new Map<string, NodeTime[]>();
  for (const node of nodes) {
    for (const group of groupsOf(node)) groups.set(group, [...(groups.get(group) ?? []), node]);
  }
  const whole = total(nodes, "milliseconds");
  return [...groups]
    .map(([name, members]) => {
      const milliseconds = total(members, "milliseconds");
      const rate = (amount: number) => (amount > 0 && milliseconds > 0 ? amount / milliseconds / 1e6 : null);
      return {
        name,
        nodes: members.length,
        milliseconds,
        share: whole > 0 ? milliseconds / whole : 0,
        gigaflopsPerSecond: rate(total(members, "operations")),
        gigabytesPerSecond: rate(total(members, "bytes")),
      };
    })
    .sort((a, b) => b.milliseconds - a.milliseconds);
}

export function total(nodes: readonly NodeTime[], what: "milliseconds" | "operations" | "bytes"): number {
  return nodes.reduce((sum, node) => sum + node[what], 0);
}

/** A module's path and those of the modules that hold it, no deeper than `depth`. */
export function enclosingModules(path: string, depth = Number.POSITIVE_INFINITY): string[] {
  const names = path === "" ? [] : path.split(".");
  return names.slice(0, depth).map((_, index) => names.slice(0, index + 1).join("."));
}

/** Kinds of operators, which are the colours of the flame chart; the first that fits counts. */
const kinds: readonly (readonly [name: string, operators: RegExp])[] = [
  ["modules", /^$/],
  ["products and convolutions", /Conv|MatMul|Gemm|Attention/],
  ["reductions and normalization", /^Reduce|Norm|Softmax|ArgMax|CumSum|Pool/],
  [
    "layout",
    /^(Reorder|Transpose|Reshape|Slice|Pad|Concat|Gather|Split|Expand|Squeeze|Unsqueeze|Identity|Cast)/,
  ],
  ["element by element", /./],
];

/** What the colours stand for. */
export const kindNames: readonly string[] = kinds.map(([name]) => name);

function kindOf(operator: string): number {
  return kinds.findIndex(([, operators]) => operators.test(operator));
}

interface Branch {
  readonly operators: Map<string, number>;
  readonly modules: Map<string, Branch>;
}

/** Time by module within module, at the leaves by operator. */
export function flameOf(name: string, nodes: readonly NodeTime[]): FlamePart {
  const root: Branch = { operators: new Map(), modules: new Map() };
  for (const { module, operator, milliseconds } of nodes) {
    let branch = root;
    for (const part of module === "" ? [] : module.split(".")) {
      const inner: Branch = branch.modules.get(part) ?? { operators: new Map(), modules: new Map() };
      branch.modules.set(part, inner);
      branch = inner;
    }
    branch.operators.set(operator, (branch.operators.get(operator) ?? 0) + milliseconds);
  }
  return partOf(name, "", root);
}

function partOf(name: string, path: string, { operators, modules }: Branch): FlamePart {
  const parts: FlamePart[] = [
    ...[...modules].map(([inner, branch]) => partOf(joinPath(path, inner), joinPath(path, inner), branch)),
    ...[...operators].map(([operator, value]) => ({
      name: operator,
      value,
      color: kindOf(operator),
      parts: [],
    })),
  ];
  return { name, value: parts.reduce((sum, { value }) => sum + value, 0), color: 0, parts };
}
