import { modelParts, namedParameters, parameterCount, trace } from "../graph/model.js";
import { formatShape } from "../graph/size.js";
import type { Tensor } from "../graph/tensor.js";
import { gradients } from "../ops/gradients.js";
import { mean } from "../ops/reduce.js";
import { type ModelSummary, modelSummary } from "../report/model-summary.js";
import { table } from "../report/table.js";
import { formatBytes, formatCount, formatInteger } from "../report/units.js";
import { type Command, countOption, writeJson } from "./command.js";
import { networkFlags, type OpenedNetwork, openNetwork } from "./network/open.js";

/** `fovea summary`: what a network is made of and what it costs. */
export const summary: Command = {
  usage: "summary <run-or-model>",
  summary: "Show a network by module and by operator: shapes, parameters, multiply-accumulates, memory",
  options: [
    ["--batch <n>", "Images of a step, for the memory (default 8)"],
    ["--depth <n>", "Levels of modules to show (default 2)"],
    ...networkFlags,
  ],
  examples: [
    "fovea summary resnet50",
    "fovea summary resnet18 --attention cbam --size 64 --depth 3",
    "fovea summary runs/cbam --json",
  ],
  async run({ args, options, json, output }) {
    const opened = await openNetwork(args[0]!, options);
    const batch = countOption(options, "batch", 8, 2);
    const depth = countOption(options, "depth", 2);
    const found = summarize(opened, batch);
    if (json) {
      const {
        name,
        preprocessing: { imageShape },
      } = opened.description;
      writeJson(output, { model: name, imageShape, batch, ...found });
    } else output.result(page(opened, found, { batch, depth }));
    return 0;
  },
};

/** Traces a training step: forward pass and the gradients of all parameters. */
function summarize({ model, description }: OpenedNetwork, batch: number): ModelSummary {
  let slopes: readonly Tensor[] = [];
  const graph = trace(
    (x: Tensor) => {
      const logits = model.forward(x);
      slopes = gradients(mean(logits, { keepDims: false }), [...namedParameters(model).values()]);
      return logits;
    },
    { shape: [batch, ...description.preprocessing.imageShape] },
    { model, training: true },
  );
  return modelSummary(model, { graph, gradients: slopes });
}

function page(
  { title, model, description }: OpenedNetwork,
  { modules, operators }: ModelSummary,
  { batch, depth }: { batch: number; depth: number },
): string {
  const [whole] = modules;
  const perImage = (macs: number) => formatCount(macs / batch);
  const { forward, kept } = whole!.activations;
  const levels = (path: string) => (path === "" ? 0 : path.split(".").length);
  return [
    `${title}: ${formatInteger(parameterCount(model))} parameters in ${modelParts(model).size} modules, images of ${formatShape(description.preprocessing.imageShape)}`,
    `an image takes ${perImage(whole!.forwardMacs)} multiply-accumulates forward and ${perImage(whole!.backwardMacs)} backward`,
    `a training step of ${batch} images computes ${formatBytes(forward)} of activations and keeps ${formatBytes(kept)} for the backward pass`,
    "",
    table(
      ["module", "type", "output", "parameters", "macs forward", "backward", "activations", "kept"],
      modules
        .filter(({ path, calls }) => levels(path) <= depth && calls > 0)
        .map(({ path, type, outputs, parameters, forwardMacs, backwardMacs, activations }) => [
          path || "(all)",
          type,
          outputs.map((shape) => formatShape(["N", ...shape.slice(1)] as never)).join(", "),
          formatInteger(parameters),
          perImage(forwardMacs),
          perImage(backwardMacs),
          formatBytes(activations.forward),
          formatBytes(activations.kept),
        ]),
    ),
    "",
    table(
      ["operator", "calls", "macs forward", "backward"],
      operators.map(({ name, calls, forwardMacs, backwardMacs }) => [
        name,
        calls,
        perImage(forwardMacs),
        perImage(backwardMacs),
      ]),
    ),
  ].join("\n");
}
