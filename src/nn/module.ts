import { isModel, joinPath, type Model } from "../graph/model.js";
import type { Tensor } from "../graph/tensor.js";
import { activeTrace, currentScope, withScope } from "../graph/trace.js";
import { Variable } from "../graph/variable.js";

/**
 * A part of a network: a plain class whose methods describe computation on symbolic tensors. Its variables and parts are its
 * properties; their names make the paths of the state dict (`layer1.0.conv1.weight`).
 */
export abstract class Module implements Model {
  /** Methods that are entry points: code in them runs under the module's path. */
  static readonly calls: readonly string[] = ["forward"];

  constructor() {
    scopeCalls(new.target);
  }

  *ownVariables(): Generator<readonly [string, Variable]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Variable) yield [name, value];
    }
  }

  *ownParts(): Generator<readonly [string, Model]> {
    for (const [name, value] of Object.entries(this)) {
      if (isModel(value)) yield [name, value];
      if (Array.isArray(value)) {
        for (const [index, part] of value.entries()) if (isModel(part)) yield [`${name}.${index}`, part];
      }
    }
  }

  /** Called before each entry point; a place to check its arguments. */
  protected enter(_call: string, _args: readonly unknown[]): void {}

  /** Names an intermediate, so that it can become an output of a compiled or exported graph; costs nothing otherwise. */
  protected tap(name: string, tensor: Tensor): Tensor {
    const trace = activeTrace();
    trace?.tap(joinPath(trace.paths.get(this) ?? currentScope(), name), tensor);
    return tensor;
  }

  /** True while a training step is traced. */
  protected get training(): boolean {
    return activeTrace()?.training ?? false;
  }
}

type Method = (this: Module, ...args: unknown[]) => unknown;

const scoped = new WeakSet<object>();

/** Wraps the entry points of a class, once, so that their nodes and errors carry the module's path. */
function scopeCalls(type: typeof Module): void {
  if (type === Module || scoped.has(type)) return;
  scoped.add(type);
  const prototype = type.prototype as unknown as Record<string, Method>;
  for (const name of type.calls) {
    const body = Object.hasOwn(prototype, name) ? prototype[name] : undefined;
    if (!body) continue;
    prototype[name] = function (...args) {
      const trace = activeTrace();
      const path = trace?.paths.get(this) ?? joinPath(currentScope(), this.constructor.name);
      return withScope(path, () => {
        this.enter(name, args);
        const result = body.apply(this, args);
        trace?.calls.push({ path, result });
        return result;
      });
    };
  }
  scopeCalls(Object.getPrototypeOf(type) as typeof Module);
}
