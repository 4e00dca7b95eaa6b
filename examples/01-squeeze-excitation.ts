// Build a mechanism, run it on an image-like tensor, and look at its gates.
//   node --import ./scripts/typescript.mjs examples/01-squeeze-excitation.ts
import { parameterCount, run, SqueezeExcitation } from "fovea";

const channels = 8;
const se = new SqueezeExcitation({ channels, reduction: 2, reductionDivisor: 1 });
console.log(`${SqueezeExcitation.about.name}: ${parameterCount(se)} parameters`);

// One image of 8 channels, 6 x 6: channel c is filled with c / 8.
const data = Float32Array.from({ length: channels * 36 }, (_, at) => Math.floor(at / 36) / channels);
const { outputs, taps } = await run(
  se,
  { dtype: "float32", shape: [1, channels, 6, 6], data },
  { taps: ["*"] },
);

// Any intermediate that a mechanism names is there to look at, under its path.
const gates = taps.attention!;
console.log(`gates [${gates.shape.join(", ")}], output [${outputs.y!.shape.join(", ")}]`);
for (const [channel, gate] of gates.data.entries()) {
  const value = Number(gate);
  console.log(`channel ${channel}  ${value.toFixed(3)}  ${"#".repeat(Math.round(40 * value))}`);
}
