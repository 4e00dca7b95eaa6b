import { elementCount, type HostTensor } from "../../src/base/dtype.js";
import { fillNormal, fillUniform, permutation, randomInteger } from "../../src/base/random.js";
import type { Operator } from "../../src/graph/operator.js";
import { operators } from "../../src/graph/operator.js";
import type { Domain, SampleInput } from "../../src/graph/sample.js";
import "../../src/ops/index.js";

/** A sample of an operator with a name for its test. */
export interface OperatorSample {
  readonly title: string;
  readonly op: Operator;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly inputs: readonly HostTensor[];
}

/** Every sample of every operator, with values. */
export const operatorSamples: readonly OperatorSample[] = operators().flatMap((op) =>
  op.definition.samples.map(({ inputs, attributes = {}, domain = "smooth" }, index): OperatorSample => {
    const described = inputs.map((entry) => ("shape" in entry ? entry : { shape: entry }));
    return {
      title: `${op.opName} ${index + 1}: ${described.map(({ shape }) => `[${shape}]`).join(" ")} ${JSON.stringify(attributes)}`,
      op,
      attributes,
      inputs: sampleValues(described, domain, `${op.opName} ${index}`),
    };
  }),
);

/** Values for the inputs of a sample; where they are to be distinct, they are so over all inputs. */
export function sampleValues(inputs: readonly SampleInput[], fallback: Domain, stream: string): HostTensor[] {
  const domains = inputs.map((entry) => entry.domain ?? fallback);
  const counts = inputs.map(({ shape, dtype = "float32" }) =>
    dtype === "float32" ? elementCount(shape) : 0,
  );
  const total = counts.reduce((sum, count) => sum + count, 0);
  const ranks = permutation(total, { seed: 1, stream, step: 0 });
  let offset = 0;
  return inputs.map((entry, index): HostTensor => {
    const { shape, dtype = "float32", below = 4 } = entry;
    const length = elementCount(shape);
    const key = { seed: 1, stream, step: index + 1 };
    if (dtype === "int64") {
      const values = Array.from({ length }, (_, position) => randomInteger(key, position, below));
      return { dtype, shape, data: BigInt64Array.from(values, BigInt) };
    }
    if (dtype === "bool") {
      const values = Array.from({ length }, (_, position) => randomInteger(key, position, 2));
      return { dtype, shape, data: Uint8Array.from(values) };
    }
    const data = new Float32Array(length);
    const domain = domains[index]!;
    if (domain === "positive") fillUniform(data, key, 0.5, 2);
    else if (domain === "smooth") fillNormal(data, key);
    else if ("distinct" in domain) {
      const own = ranks.subarray(offset, offset + length);
      own.forEach((rank, position) => {
        data[position] = (rank - total / 2) * domain.distinct * 1.25;
      });
    } else {
      fillNormal(data, key, 0, 2);
      for (const [position, value] of data.entries()) {
        const near = domain.awayFrom.find((kink) => Math.abs(value - kink) < 0.2);
        if (near !== undefined) data[position] = near + (value < near ? -0.3 : 0.3);
      }
    }
    offset += length;
    return { dtype, shape, data };
  });
}
