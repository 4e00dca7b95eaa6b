import { join } from "node:path";
import { version } from "../../base/version.js";
import { lastCamTap } from "../../explain/cam-features.js";
import type { Progress } from "../../report/progress.js";
import { defaultRuntime } from "../../runtime/provider.js";
import { release, run as runModel } from "../../runtime/run.js";
import type { SessionOptions } from "../../runtime/types.js";
import type { FitEvent } from "../../train/events.js";
import { fit } from "../../train/fit.js";
import { replaceFile } from "../../train/node-atomic-file.js";
import { type RunConfig, RunFolder } from "../../train/node-run-folder.js";
import type { NetworkDescription } from "../network/description.js";
import { exportNetwork } from "../network/export-network.js";
import { attentionGallery } from "./attention-gallery.js";
import { trainingChart } from "./charts.js";
import { settingsOfConfig, type TrainSettings } from "./config.js";
import { predictWithExported } from "./exported-predictions.js";
import { accuracyOf, predictAll } from "./predictions.js";
import { createTask, evaluationBatch, type TrainTask } from "./task.js";

/** Names of what a run writes beside its checkpoints and metrics. */
export const outputs = { model: "model.onnx", chart: "training.svg", picture: "attention.png" } as const;

/** What to do: begin a run in a new folder, or go on with one. */
export type TrainRequest = { readonly folder: string; readonly session: SessionOptions } & (
  | { readonly settings: TrainSettings }
  | { readonly resume: true }
);

/** How the command talks while it works. */
export interface TrainTalk {
  /** Makes the display once the length of the run is known. */
  progress(plan: { total: number; done: number; stepsPerEpoch: number }): Progress;
  say(text: string): void;
  readonly signal: AbortSignal;
}

/** How a run ended. */
export type TrainOutcome =
  | { readonly finished: false; readonly step: number; readonly folder: string }
  | {
      readonly finished: true;
      readonly testAccuracy: number;
      readonly testImages: number;
      /** Predictions of the reloaded ONNX model that equal the network's. */
      readonly exportAgrees: number;
      readonly folder: string;
    };

/** Trains, evaluates, exports, checks the export and draws. */
export async function trainRun(request: TrainRequest, talk: TrainTalk): Promise<TrainOutcome> {
  const settings = await settingsOfRequest(request);
  const task = await createTask(settings, { say: talk.say, resumes: "resume" in request });
  const folder =
    "resume" in request ? await reopen(request.folder) : await createFolder(request, settings, task.network);
  const { session } = request;
  if (task.fresh.length > 0) talk.say(`new for these classes: ${task.fresh.join(", ")}`);
  talk.say(
    `${settings.model} on ${task.train.name}: ${task.train.length} images, ${settings.epochs} epochs of batches of ${settings.batchSize}; run folder ${folder.path}`,
  );
  const result = await fit({
    ...task.fit,
    session,
    run: folder,
    resume: "resume" in request,
    description: JSON.stringify(settings),
    signal: talk.signal,
    callbacks: [display(talk, settings)],
  });
  if (result.reason === "aborted") return { finished: false, step: result.step, folder: folder.path };
  const outcome = await finish(folder, task, settings, { session, talk });
  return { finished: true, folder: folder.path, ...outcome };
}

/** The settings that are asked for, or those of the run to go on with. @throws DataError */
export async function settingsOfRequest(request: TrainRequest): Promise<TrainSettings> {
  return "resume" in request ? storedSettings(request.folder) : request.settings;
}

/** The settings of the run in a folder. @throws DataError where it is none */
export async function storedSettings(folder: string): Promise<TrainSettings> {
  const { config } = await RunFolder.open(folder);
  return settingsOfConfig(config, join(folder, "config.json"));
}

async function reopen(folder: string): Promise<RunFolder> {
  const { config } = await RunFolder.open(folder);
  return RunFolder.resume(folder, config);
}

async function createFolder(
  { folder, session }: TrainRequest,
  settings: TrainSettings,
  network: NetworkDescription,
): Promise<RunFolder> {
  const info = await defaultRuntime().info({ devices: false });
  return RunFolder.create(folder, {
    versions: { fovea: version, node: process.version, onnxruntime: info.version ?? null },
    device: session.device ?? "cpu",
    threads: session.threads ?? info.threads,
    settings,
    network: JSON.parse(JSON.stringify(network)) as RunConfig,
  });
}

/** Shows a run's events. */
function display(talk: TrainTalk, settings: TrainSettings): (event: FitEvent) => void {
  let progress: Progress | undefined;
  let done = 0;
  let started = 0;
  return (event) => {
    if (event.type === "begin") {
      const { device, threads, nodeCount } = event;
      talk.say(`a step is one model of ${nodeCount} nodes, on ${device.device} with ${threads} threads`);
      const stepsPerEpoch = event.totalSteps / settings.epochs;
      progress = talk.progress({ total: event.totalSteps, done: event.step, stepsPerEpoch });
      done = event.step;
      started = performance.now();
    } else if (event.type === "step") {
      const seconds = (performance.now() - started) / 1000;
      const imagesPerSecond = ((event.step - done) * settings.batchSize) / seconds;
      const { step, loss, metrics } = event;
      progress?.update({ step, loss, accuracy: metrics.accuracy ?? Number.NaN, imagesPerSecond });
    } else if (event.type === "evaluation") {
      const { loss, accuracy } = event.values;
      const figures = `loss ${loss?.toFixed(4)}, accuracy ${((accuracy ?? Number.NaN) * 100).toFixed(2)} %`;
      progress?.message(`epoch ${event.epoch}: test ${figures}`);
    } else if (event.type === "end") progress?.stop();
  };
}

/** Evaluates the trained network and writes what the run leaves behind. */
async function finish(
  folder: RunFolder,
  { model, network, test }: TrainTask,
  settings: TrainSettings,
  { session, talk }: { session: SessionOptions; talk: TrainTalk },
) {
  const write = (name: string, bytes: Uint8Array | string) => replaceFile(join(folder.path, name), bytes);
  talk.say(`evaluating on ${test.length} test images`);
  const predictions = await predictAll(test, evaluationBatch(test), async (images) => {
    const { outputs: results } = await runModel(model, images, session);
    return results.y!;
  });
  await release(model);
  const testAccuracy = accuracyOf(test, predictions);

  talk.say("exporting, and checking the exported model in a fresh session");
  const { bytes } = exportNetwork(model, network);
  const exported = await predictWithExported(bytes, test, { batchSize: evaluationBatch(test), session });
  await write(outputs.model, bytes);

  talk.say("drawing");
  const title = `${settings.model} on ${test.name}`;
  await write(outputs.chart, trainingChart(await folder.metrics(), title));
  const tap = lastCamTap(model, test.imageShape);
  const picture = { title: `Where ${settings.model} looks`, tap, predictions, session };
  await write(outputs.picture, await attentionGallery(model, test, picture));
  const exportAgrees = exported.filter((prediction, index) => prediction === predictions[index]).length;
  return { testAccuracy, testImages: test.length, exportAgrees };
}
