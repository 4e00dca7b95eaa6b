import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { Loader } from "../data/loader.js";
import { initialize } from "../graph/model.js";
import { confusionPicture, maxPictureClasses } from "../report/confusion-picture.js";
import { encodePng } from "../report/png.js";
import { table } from "../report/table.js";
import { formatInteger, formatPercent, formatValue } from "../report/units.js";
import type { ConfusionMatrix } from "../train/confusion-matrix.js";
import { evaluate } from "../train/evaluate.js";
import { crossEntropy } from "../train/losses.js";
import { correctCount, topKCorrect } from "../train/metrics.js";
import { replaceFile } from "../train/node-atomic-file.js";
import { type Command, sessionFlags, sessionOptions, textOption, UsageError, writeJson } from "./command.js";
import { requireClassifier } from "./network/classifier.js";
import { evaluationImages, imagesFlags } from "./network/evaluation-images.js";
import { networkFlags, openNetwork } from "./network/open.js";
import { evaluationBatch } from "./train/task.js";

/** Fewer classes have no top-5 accuracy that says something. */
const topClasses = 5;

/** `fovea evaluate`: how well a network tells labelled images apart. */
export const evaluateCommand: Command = {
  usage: "evaluate <run-or-model>",
  summary: "Evaluate a network on labelled images: accuracy, per class, confusion matrix",
  options: [
    ...imagesFlags,
    ["--confusion <file>", "Draw the confusion matrix into this PNG file"],
    ...networkFlags,
    ...sessionFlags,
  ],
  examples: [
    "fovea evaluate runs/cbam",
    "fovea evaluate runs/photos --data more-photos --confusion confusion.png",
    "fovea evaluate resnet18 --weights resnet18.pth --data imagenet/val --json",
  ],
  async run({ args, options, json, output }) {
    const network = await openNetwork(args[0]!, options);
    const { model, title } = network;
    requireClassifier(network.description.name);
    initialize(model);
    const dataset = await evaluationImages(network, options, output.log);
    const file = textOption(options, "confusion");
    if (file !== undefined) checkPicture(file, dataset.classes.length);
    output.log(`evaluating ${title} on ${formatInteger(dataset.length)} images of ${dataset.name}`);
    const withTop = dataset.classes.length > topClasses;
    const { samples, loss, metrics, confusion } = await evaluate({
      model,
      loss: crossEntropy,
      metrics: {
        accuracy: correctCount,
        ...(withTop ? { top5: (logits, labels) => topKCorrect(logits, labels, topClasses) } : {}),
      },
      data: new Loader(dataset, { batchSize: evaluationBatch(dataset) }),
      session: sessionOptions(options),
    });
    const matrix = confusion!;
    if (file !== undefined) {
      const picture = confusionPicture(matrix.rows(), {
        classes: dataset.classes,
        title: `${title} on ${dataset.name}`,
      });
      await replaceFile(file, await encodePng(picture));
    }
    const { accuracy, top5 } = metrics;
    if (json) {
      writeJson(output, {
        data: dataset.name,
        images: samples,
        loss,
        ...metrics,
        classes: perClass(dataset.classes, matrix),
        confusion: matrix.rows(),
        ...(file === undefined ? {} : { file }),
      });
      return 0;
    }
    output.result(
      [
        `accuracy  ${formatPercent(accuracy!)} of ${formatInteger(samples)} images${top5 === undefined ? "" : `; the class is among the first five for ${formatPercent(top5)}`}`,
        `loss      ${formatValue(loss)}`,
        ...(file === undefined ? [] : [`picture   ${file}`]),
        "",
        table(
          ["class", "images", "found (recall)", "right (precision)", "mostly taken for"],
          perClass(dataset.classes, matrix).map(({ name, images, recall, precision, confusedWith }) => [
            name,
            images,
            formatPercent(recall ?? Number.NaN, 1),
            formatPercent(precision ?? Number.NaN, 1),
            confusedWith ? `${confusedWith.name} (${confusedWith.images})` : "",
          ]),
        ),
      ].join("\n"),
    );
    return 0;
  },
};

/** Refuses a picture that could not be drawn, before the work. @throws UsageError */
function checkPicture(file: string, classes: number): void {
  if (classes > maxPictureClasses) {
    throw new UsageError(
      `--confusion: a picture has at most ${maxPictureClasses} classes, here are ${classes}`,
    );
  }
  if (!existsSync(dirname(file)))
    throw new UsageError(`--confusion: the folder ${dirname(file)} does not exist`);
}

/** How a class did; a share of nothing is null. */
interface ClassResult {
  readonly name: string;
  readonly images: number;
  readonly recall: number | null;
  readonly precision: number | null;
  /** The class that most of its images were wrongly taken for. */
  readonly confusedWith: { readonly name: string; readonly images: number } | null;
}

function perClass(names: readonly string[], matrix: ConfusionMatrix): ClassResult[] {
  const share = (value: number) => (Number.isNaN(value) ? null : value);
  return matrix.rows().map((row, label) => {
    const [worst] = row
      .map((images, index) => ({ name: names[index]!, images, index }))
      .filter(({ index, images }) => index !== label && images > 0)
      .sort((a, b) => b.images - a.images);
    return {
      name: names[label]!,
      images: row.reduce((total, count) => total + count, 0),
      recall: share(matrix.recall(label)),
      precision: share(matrix.precision(label)),
      confusedWith: worst ? { name: worst.name, images: worst.images } : null,
    };
  });
}
