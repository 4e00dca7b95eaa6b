import * as models from "../../models/registry.js";
import { UsageError } from "../command.js";

/** Refuses a network that does not give a whole image a class. @throws UsageError */
export function requireClassifier(name: string): void {
  const { name: known, task } = models.info(name);
  if (task === "classification") return;
  throw new UsageError(
    `${known} is a network for ${task}, which gives every pixel a class; networks for whole images are needed here`,
  );
}
