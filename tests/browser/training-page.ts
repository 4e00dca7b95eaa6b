/** The script of a page that tests drive. */
import * as fovea from "../../src/web.js";
import * as scenarios from "./scenarios.js";

/** What tests find in the page's global scope. */
export interface TrainingPage {
  readonly fovea: typeof fovea;
  readonly scenarios: typeof scenarios;
}

Object.assign(globalThis, { fovea, scenarios } satisfies TrainingPage);
