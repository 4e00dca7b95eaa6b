import { fillNormal } from "../base/random.js";
import type { Initializer } from "../graph/variable.js";

/**
 * A random orthogonal square matrix: normal rows, made orthonormal one after the other.
 * Saxe, McClelland, Ganguli: Exact solutions to the nonlinear dynamics of learning in deep linear neural networks, ICLR 2014.
 * @param size rows and columns
 */
export function orthogonal(size: number): Initializer {
  return (out, { seed, path }) => {
    const normal = new Float32Array(size * size);
    fillNormal(normal, { seed, stream: path, step: 0 });
    const rows: Float64Array[] = [];
    for (let index = 0; index < size; index++) {
      const row = Float64Array.from(normal.subarray(index * size, (index + 1) * size));
      // Twice: rounding leaves a part of the earlier rows in a row that is nearly theirs.
      for (let pass = 0; pass < 2; pass++) {
        for (const other of rows) {
          const overlap = dot(row, other);
          for (let column = 0; column < size; column++) row[column]! -= overlap * other[column]!;
        }
        const norm = Math.sqrt(dot(row, row));
        for (let column = 0; column < size; column++) row[column]! /= norm;
      }
      rows.push(row);
      out.set(row, index * size);
    }
  };
}

function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((total, value, index) => total + value * b[index]!, 0);
}
