/** How a reference's state dict holds a mechanism's tensors: its names to ours, both without the mechanism's path. */
export type CheckpointLayout = Readonly<Record<string, string | StoredTensor | TiedTensors>>;

type Shape = readonly number[];

/** A tensor of a reference whose values are laid out otherwise than ours. Its name is that of the tensor itself. */
export interface StoredTensor {
  /** Our tensors that it holds, by their names in the mechanism. */
  readonly parts: readonly string[];
  /** Its shape, by those of the parts; undefined where the reference keeps such parts otherwise. */
  shape(parts: readonly Shape[]): Shape | undefined;
  /** The values of the parts from its own. */
  split(values: Float32Array, parts: readonly Shape[]): Float32Array[];
  /** Its values from those of the parts: the inverse of `split`. */
  join(values: readonly Float32Array[], parts: readonly Shape[]): Float32Array;
}

/** Tensors that a reference lists a second time, where two of its modules are one. */
export interface TiedTensors {
  /** Our name of what they are equal to. */
  readonly sameAs: string;
}

/** Tensors that are listed once more than here. */
export function sameAs(name: string): TiedTensors {
  return { sameAs: name };
}

/** Several of our tensors under each other, along the first axis. Where their other axes differ the reference has them apart. */
export function stacked(...parts: readonly string[]): StoredTensor {
  const lengths = (shapes: readonly Shape[]) => shapes.map((shape) => product(shape));
  return {
    parts,
    shape: (shapes) => {
      const [first, ...others] = shapes.map(([, ...rest]) => rest);
      if (others.some((rest) => rest.join() !== first!.join())) return undefined;
      return [shapes.reduce((rows, [size = 0]) => rows + size, 0), ...first!];
    },
    split: (values, shapes) => {
      let end = 0;
      return lengths(shapes).map((length) => {
        end += length;
        return values.slice(end - length, end);
      });
    },
    join: (values, shapes) => {
      const out = new Float32Array(lengths(shapes).reduce((sum, length) => sum + length, 0));
      let at = 0;
      for (const part of values) {
        out.set(part, at);
        at += part.length;
      }
      return out;
    },
  };
}

/** The transpose of our matrix. */
export function transposed(part: string): StoredTensor {
  const turn = (values: Float32Array, rows: number, columns: number) =>
    values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!);
  return {
    parts: [part],
    shape: ([[rows = 1, columns = 1] = []]) => [columns, rows],
    split: (values, [[rows = 1, columns = 1] = []]) => [turn(values, columns, rows)],
    join: ([values], [[rows = 1, columns = 1] = []]) => turn(values!, rows, columns),
  };
}

/** Our kernel with its input planes (axis 1) in the opposite order. */
export function planesReversed(part: string): StoredTensor {
  const reverse = (values: Float32Array, [, planes = 1, ...kernel]: Shape) => {
    const size = product(kernel);
    return values.map((_, index) => {
      const plane = Math.floor(index / size) % planes;
      return values[index + (planes - 1 - 2 * plane) * size]!;
    });
  };
  return {
    parts: [part],
    shape: ([shape]) => shape,
    split: (values, [shape]) => [reverse(values, shape!)],
    join: ([values], [shape]) => reverse(values!, shape!),
  };
}

/** Our tensor with more axes of size 1 at the end, or with fewer where `count` is negative. */
export function trailingAxes(count: number, part: string): StoredTensor {
  return {
    parts: [part],
    shape: ([shape = []]) => {
      if (count >= 0) return [...shape, ...Array<number>(count).fill(1)];
      return shape.slice(count).every((size) => size === 1) ? shape.slice(0, count) : undefined;
    },
    split: (values) => [values.slice()],
    join: ([values]) => values!.slice(),
  };
}

function product(shape: Shape): number {
  return shape.reduce((count, size) => count * size, 1);
}
