export { type CaseReport, verifyGolden } from "./case-report.js";
export type { Comparison } from "./compare.js";
export { type GoldenCase, readGoldenCase } from "./golden-case.js";
export { type Verification, verifyCase } from "./verify.js";
