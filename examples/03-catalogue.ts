// Find mechanisms in the catalogue, and create one by its id.
//   node --import ./scripts/typescript.mjs examples/03-catalogue.ts
import { create, mechanisms, parameterCount } from "fovea";

for (const { id, name, year, paper } of mechanisms({ family: "channel-spatial" })) {
  console.log(`${id.padEnd(14)} ${year}  ${name}: ${paper}`);
}

// The id is checked by the compiler and so are the options of its mechanism.
const cbam = create("cbam", { channels: 64, reduction: 16 });
console.log(`cbam with 64 channels: ${parameterCount(cbam)} parameters`);
