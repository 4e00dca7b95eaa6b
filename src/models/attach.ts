import { OptionError, ShapeError } from "../base/errors.js";
import { matchesPattern } from "../base/pattern.js";
import { type InputType, joinPath, type Model, modelParts, trace } from "../graph/model.js";
import { formatShape, type Shape, sameShape } from "../graph/size.js";
import { Tensor } from "../graph/tensor.js";
import { Conv } from "../nn/conv.js";
import { Linear } from "../nn/linear.js";
import type { Layer } from "../nn/sequential.js";

/** A module after which something is attached. */
export interface AttachPoint {
  /** Path of the module. */
  readonly path: string;
  /** Shape of its output in the trace that looked for it; axis 1 are the channels. */
  readonly shape: Shape;
}

/** Options of `attach`. */
export interface AttachOptions {
  /**
   * Type of the network's input, with a concrete batch; the network is traced once to learn what its modules put out. By default an image
   * of 64 pixels a side with the channels of the network's first convolution, or the features of its first linear layer.
   */
  readonly input?: InputType | Readonly<Record<string, InputType>>;
}

/** Layers that were attached to a network. */
export interface Attachments<L extends Layer> {
  /** The layers by their paths in the network. */
  readonly layers: ReadonlyMap<string, L>;
  /** Takes them off again: the network is as before. Again is fine. */
  detach(): void;
}

/** What the path of an attached layer has more than that of the module that it follows. */
const suffix = "Attention";

/**
 * Attaches a layer that keeps the shape, such as a mechanism, after the `forward` of modules of a network, without editing the network:
 * `attach(resnet, "*.conv2", (channels) => new SqueezeExcitation({ channels }))`, in the last stage only with `"layer4.*.conv2"`.
 *
 * The layer stands beside the module that it follows, under its path with `Attention` at the end: after `layer1.0.conv2` stands
 * `layer1.0.conv2Attention`, with its parameters (`layer1.0.conv2Attention.fc1.weight`) and taps (`layer1.0.conv2Attention.attention`).
 * Beside and not below or around it, so that every path that the network had stays: its checkpoints load as before
 * (`loadStateDict(model, values, { strict: false })` where they have no attention yet), and the cost of `layer1.0.conv2` stays that of
 * the convolution. The module itself stays in its place, so that its owner can go on reading its properties.
 *
 * @param where path of modules, or several; `*` stands for any characters, dots too
 * @param create makes the layer from the size of axis 1 of the module's output, which is that of the channels
 * @throws OptionError for a pattern that fits no module, a module that has no single output or an attachment already, or a network whose
 *   input is neither given nor known; ShapeError for a layer that does not keep the shape. The network is as before then.
 */
export function attach<L extends Layer>(
  model: Model,
  where: string | readonly string[],
  create: (channels: number, point: AttachPoint) => L,
  options: AttachOptions = {},
): Attachments<L> {
  const slots = findSlots(model, typeof where === "string" ? [where] : where);
  const input = options.input ?? guessInput(model);
  const shapes = outputShapes(model, slots, input, { guessed: options.input === undefined });
  const layers = slots.map(({ path }, index) =>
    create(channelsOf(path, shapes[index]!), { path, shape: shapes[index]! }),
  );
  const undo = slots.map((slot, index) => follow(slot, layers[index]!));
  const detach = () => {
    for (const restore of undo.splice(0)) restore();
  };
  try {
    trace(model, input);
  } catch (error) {
    detach();
    throw error;
  }
  return { layers: new Map(slots.map(({ path }, index) => [path + suffix, layers[index]!])), detach };
}

/** A module of a network, and whose part it is. */
interface Slot {
  readonly path: string;
  readonly module: Layer;
  readonly owner: Model;
}

/** Layers that follow parts of a model. */
interface Followers {
  /** By the part. */
  readonly layers: Map<Model, Layer>;
  /** Makes the model name its own parts only. */
  hide(): void;
}

const followers = new WeakMap<Model, Followers>();

function findSlots(model: Model, patterns: readonly string[]): Slot[] {
  const paths = modelParts(model);
  const slots = new Map<string, Slot>();
  for (const [owner, ownerPath] of paths) {
    const parts = [...owner.ownParts()];
    for (const [name, part] of parts) {
      const path = joinPath(ownerPath, name);
      if (paths.get(part) !== path || !patterns.some((pattern) => matchesPattern(path, pattern))) continue;
      if (followers.get(owner)?.layers.has(part))
        throw new OptionError(`attach: ${path} has an attachment already`);
      if (parts.some(([other]) => other === name + suffix)) {
        throw new OptionError(`attach: ${path + suffix} is a module of the network already`);
      }
      if (typeof (part as Partial<Layer>).forward !== "function") {
        throw new OptionError(`attach: ${path} has no forward`);
      }
      slots.set(path, { path, module: part as Layer, owner });
    }
  }
  for (const pattern of patterns) {
    if ([...slots.keys()].some((path) => matchesPattern(path, pattern))) continue;
    const known = [...paths.values()].filter((path) => path !== "");
    const some = known.slice(0, 12).join(", ") + (known.length > 12 ? ` and ${known.length - 12} more` : "");
    throw new OptionError(`attach: no module fits "${pattern}"; the network has ${some || "none"}`);
  }
  return [...slots.values()];
}

/** Input of a network that begins with a convolution or a linear layer. */
function guessInput(model: Model): InputType {
  for (const part of modelParts(model).keys()) {
    if (part instanceof Conv) {
      const [, channels, ...kernel] = part.weight.shape;
      return { shape: [2, channels!, ...kernel.map(() => 64)] };
    }
    if (part instanceof Linear) return { shape: [2, part.weight.shape[1]!] };
  }
  throw new OptionError(
    "attach: the network has neither convolution nor linear layer; give its input's type",
  );
}

/** Shapes of what the modules put out, from a trace. */
function outputShapes(
  model: Model,
  slots: readonly Slot[],
  input: NonNullable<AttachOptions["input"]>,
  { guessed }: { readonly guessed: boolean },
): Shape[] {
  const found = new Map<Slot, Shape>();
  const restore = slots.map((slot) =>
    interceptForward(slot.module, (output) => {
      if (!(output instanceof Tensor)) throw new OptionError(`attach: ${slot.path} has no single output`);
      const { shape } = output;
      const known = found.get(slot);
      if (known && known[1] !== shape[1]) {
        const both = `${formatShape(known)} and ${formatShape(shape)}`;
        throw new OptionError(`attach: ${slot.path} puts out different channels: ${both}`);
      }
      found.set(slot, shape);
      return output;
    }),
  );
  try {
    trace(model, input);
  } catch (error) {
    if (!guessed || !(error instanceof ShapeError)) throw error;
    const shape = formatShape((input as InputType).shape);
    throw new ShapeError(`${error.message}; attach tried an input of ${shape}, give it the right one`, {
      cause: error,
    });
  } finally {
    for (const step of restore) step();
  }
  return slots.map((slot) => {
    const shape = found.get(slot);
    if (!shape) throw new OptionError(`attach: the network's forward does not call that of ${slot.path}`);
    return shape;
  });
}

function channelsOf(path: string, shape: Shape): number {
  const [, channels] = shape;
  if (typeof channels === "number") return channels;
  throw new OptionError(`attach: ${path} puts out ${formatShape(shape)}, which has no channels (axis 1)`);
}

/** Puts a layer after a module and beside it in the tree. Returns what takes it off. */
function follow({ path, module, owner }: Slot, layer: Layer): () => void {
  const restoreForward = interceptForward(module, (output) => {
    const x = output as Tensor;
    const y = layer.forward(x);
    if (sameShape(x.shape, y.shape)) return y;
    const change = `${formatShape(x.shape)} to ${formatShape(y.shape)}`;
    throw new ShapeError(`${path + suffix} must keep the shape, found ${change}`);
  });
  const beside = followers.get(owner) ?? showFollowers(owner);
  beside.layers.set(module, layer);
  return () => {
    restoreForward();
    beside.layers.delete(module);
    if (beside.layers.size === 0) beside.hide();
  };
}

/** Makes a model name the layers that follow its parts. */
function showFollowers(owner: Model): Followers {
  const layers = new Map<Model, Layer>();
  const ownParts = owner.ownParts.bind(owner);
  const restore = replaceMethod(owner, "ownParts", function* () {
    for (const [name, part] of ownParts()) {
      yield [name, part];
      const layer = layers.get(part);
      if (layer) yield [name + suffix, layer];
    }
  });
  const hide = () => {
    restore();
    followers.delete(owner);
  };
  followers.set(owner, { layers, hide });
  return { layers, hide };
}

/** Passes what a module's `forward` returns on to `after`, whose result takes its place. Returns what undoes it. */
function interceptForward(module: Layer, after: (output: unknown) => Tensor): () => void {
  const forward = module.forward.bind(module);
  return replaceMethod(module, "forward", (x: Tensor) => after(forward(x)));
}

/** Replaces a method of this one object. Returns what undoes it. */
function replaceMethod<K extends string>(
  object: Readonly<Record<K, unknown>>,
  name: K,
  method: (...args: never) => unknown,
): () => void {
  const own = Object.getOwnPropertyDescriptor(object, name);
  // Not enumerable, as properties that are listed can be parts.
  Object.defineProperty(object, name, { value: method, configurable: true, writable: true });
  return () => {
    if (own) Object.defineProperty(object, name, own);
    else Reflect.deleteProperty(object, name);
  };
}
