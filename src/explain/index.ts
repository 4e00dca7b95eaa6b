export type { CamMethod } from "./class-activation.js";
export { createExplainer, explain } from "./explain.js";
export {
  type Faithfulness,
  type FaithfulnessCurve,
  type FaithfulnessOptions,
  faithfulness,
} from "./faithfulness.js";
export * from "./grad-cam.js";
export {
  type ExplainableModel,
  type ExplainedMap,
  type Explainer,
  type ExplainMethodName,
  type ExplainOptions,
  type Explanation,
  explainMethods,
} from "./types.js";
