import { isBuiltin } from "node:module";
import { dirname, join } from "node:path/posix";
import ts from "typescript";

/** Folders of src/ and what each may import beside itself. */
const base = ["base"];
const graph = [...base, "graph"];
const ops = [...graph, "ops"];
const onnx = [...ops, "onnx"];
const nn = [...ops, "nn"];
const attention = [...nn, "attention"];
const formats = [...base, "formats"];
const models = [...attention, "formats", "models"];
const data = [...formats, "data"];
const runtime = [...onnx, "runtime"];

export const allowedImports: Readonly<Record<string, readonly string[] | "everything">> = {
  base: [],
  graph: base,
  ops: graph,
  onnx: ops,
  runtime: onnx,
  nn: ops,
  attention: nn,
  models: [...attention, "formats"],
  formats: base,
  data: formats,
  train: [...models, ...runtime, ...data],
  explain: [...models, ...runtime, "report"],
  verify: [...models, ...runtime, ...formats],
  report: graph,
  cli: "everything",
};

interface Import {
  readonly specifier: string;
  /** Erased by the compiler: no code runs for it. */
  readonly typeOnly: boolean;
}

/** Static and dynamic imports and re-exports of a module. */
export function importsOf(path: string, source: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (specifier && ts.isStringLiteralLike(specifier)) found.push({ specifier: specifier.text, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly ?? false);
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument))
      add(node.argument.literal, true);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, source, ts.ScriptTarget.Latest));
  return found;
}

/** True for files that may use Node.js: the others run in a browser too. */
function isForNode(path: string): boolean {
  return /^(cli\/|(runtime|data|report|train)\/node[-.])/.test(path);
}

/** Folder of a file; undefined for the package's entries, which may import everything. */
function layerOf(path: string): string | undefined {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : undefined;
}

/**
 * What breaks the rules of the house: the order of the layers, no import cycles, browser-safe files, and the form of
 * import specifiers.
 * @param files sources by their path in src/
 * @returns a sentence per violation
 */
export function violations(files: ReadonlyMap<string, string>): string[] {
  const problems: string[] = [];
  const edges = new Map<string, string[]>();
  for (const [path, source] of files) {
    const layer = layerOf(path);
    const allowed = layer === undefined ? "everything" : allowedImports[layer];
    if (allowed === undefined) problems.push(`${path}: folder ${layer} has no place in the order of layers`);
    for (const { specifier, typeOnly } of importsOf(path, source)) {
      if (!specifier.startsWith(".")) {
        if (!typeOnly && isBuiltin(specifier) && !isForNode(path) && layer !== undefined) {
          problems.push(`${path}: only files for Node.js may import ${specifier}`);
        }
        if (isBuiltin(specifier) && !specifier.startsWith("node:")) {
          problems.push(`${path}: ${specifier} is written with node:`);
        }
        if (!typeOnly && specifier.startsWith("onnxruntime") && !/^runtime\/(node|web)[-.]/.test(path)) {
          problems.push(`${path}: only runtime/node* and runtime/web* may import ${specifier}`);
        }
        continue;
      }
      const target = join(dirname(path), specifier).replace(/\.js$/, ".ts");
      if (!specifier.endsWith(".js")) problems.push(`${path}: ${specifier} does not end in .js`);
      else if (!files.has(target)) problems.push(`${path}: ${specifier} is no file of src/`);
      const other = layerOf(target);
      if (other !== layer && allowed && allowed !== "everything" && !allowed.includes(other ?? "")) {
        problems.push(`${path}: ${layer} may not import ${target}`);
      }
      if (typeOnly) continue;
      if (isForNode(target) && !isForNode(path) && layer !== undefined) {
        problems.push(`${path}: only files for Node.js may import ${target}`);
      }
      edges.set(path, [...(edges.get(path) ?? []), target]);
    }
  }
  return [...problems, ...cycles(edges).map((cycle) => `import cycle: ${cycle.join(" -> ")}`)];
}

/** One cycle for every edge that closes one. */
function cycles(edges: ReadonlyMap<string, readonly string[]>): string[][] {
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) {
      found.push([...trail.slice(at), path]);
      return;
    }
    if (done.has(path)) return;
    for (const target of edges.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return found;
}
