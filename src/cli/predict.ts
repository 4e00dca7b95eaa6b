import type { HostTensor } from "../base/dtype.js";
import { BrokenImageError } from "../data/dataset.js";
import { loadImage } from "../data/node-load-image.js";
import { rowOf, softmax } from "../explain/scores.js";
import { initialize } from "../graph/model.js";
import { table } from "../report/table.js";
import { formatPercent } from "../report/units.js";
import { release, run } from "../runtime/run.js";
import {
  type Command,
  countOption,
  sessionFlags,
  sessionOptions,
  textOption,
  UsageError,
  writeJson,
} from "./command.js";
import { requireClassifier } from "./network/classifier.js";
import { networkFlags, openNetwork } from "./network/open.js";

/** A class and its probability. */
interface Guess {
  readonly class: string;
  readonly probability: number;
}

/** `fovea predict`: what a network takes images for. */
export const predict: Command = {
  usage: "predict <...images>",
  summary: "Say what a network takes images for",
  options: [
    ["--model <run-or-model>", "Folder of a run, or a network's name (required)"],
    ["--top <n>", "Most probable classes to show (default 3)"],
    ...networkFlags,
    ...sessionFlags,
  ],
  examples: [
    "fovea predict cat.jpg dog.png --model runs/photos",
    "fovea predict digit.png --model runs/cbam --top 2 --json",
  ],
  async run({ args, options, json, output }) {
    const reference = textOption(options, "model");
    if (reference === undefined)
      throw new UsageError("--model is missing: a run's folder, or a network's name");
    const top = countOption(options, "top", 3);
    const { model, description } = await openNetwork(reference, options);
    requireClassifier(description.name);
    initialize(model);
    const session = sessionOptions(options);
    const found: { image: string; guesses: Guess[] }[] = [];
    const broken: { image: string; problem: string }[] = [];
    try {
      for (const image of args) {
        try {
          const { x } = await loadImage(image, description.preprocessing);
          const { outputs } = await run(model, x, session);
          found.push({ image, guesses: mostProbable(outputs.y!, description.classes, top) });
        } catch (error) {
          if (!(error instanceof BrokenImageError)) throw error;
          broken.push({ image, problem: error.message });
        }
      }
    } finally {
      await release(model);
    }
    for (const { problem } of broken) output.log(`fovea: ${problem}`);
    if (json) writeJson(output, { images: found, broken });
    else if (found.length > 0) {
      output.result(
        table(
          [
            "image",
            ...Array.from({ length: found[0]!.guesses.length }, (_, rank) =>
              rank === 0 ? "class" : `${rank + 1}.`,
            ),
          ],
          found.map(({ image, guesses }) => [
            image,
            ...guesses.map((guess) => `${guess.class} ${formatPercent(guess.probability, 1)}`),
          ]),
        ),
      );
    }
    return broken.length === 0 ? 0 : 1;
  },
};

/** The most probable classes of one image, of its logits [1, classes]. */
function mostProbable(logits: HostTensor, classes: readonly string[], count: number): Guess[] {
  return Array.from(softmax(rowOf(logits, 0)), (probability, index) => ({
    class: classes[index]!,
    probability,
  }))
    .sort((a, b) => b.probability - a.probability)
    .slice(0, count);
}
