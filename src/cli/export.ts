import { initialize } from "../graph/model.js";
import { saveWeights } from "../models/checkpoint-save.js";
import { decodeModel } from "../onnx/decoder.js";
import { checkExportOpset, defaultExportOpset, exportOpsets } from "../onnx/export.js";
import { table } from "../report/table.js";
import { formatBytes, formatInteger } from "../report/units.js";
import { replaceFile } from "../train/node-atomic-file.js";
import { adamW, type Optimizer, sgd } from "../train/optimizers.js";
import {
  asUsage,
  type Command,
  type CommandCall,
  countOption,
  type GivenOptions,
  refuseOptions,
  sessionFlags,
  sessionOptions,
  textOption,
  textOptions,
  UsageError,
  writeJson,
} from "./command.js";
import { descriptionMetadata } from "./network/description.js";
import { checkExport, exportNetwork } from "./network/export-network.js";
import { exportStep } from "./network/export-step.js";
import { networkFlags, type OpenedNetwork, openNetwork, weightsExtension } from "./network/open.js";

const onnxOnly = ["opset", "batch", "taps", "trainingStep", "optimizer"] as const;
const defaultStepBatch = 32;
const optimizers: Readonly<Record<string, () => Optimizer>> = {
  sgd: () => sgd({ momentum: 0.9, nesterov: true, weightDecay: 5e-4 }),
  adamw: () => adamW(),
};

/** `fovea export`: a network, or its training step, as an ONNX model. */
export const exportCommand: Command = {
  usage: "export <run-or-model>",
  summary: "Write a network or its whole training step as an ONNX model, or its weights",
  options: [
    ["--to <file>", "The file: .onnx, or .safetensors for the weights alone (required)"],
    ["--opset <n>", `Operator set, one of ${exportOpsets.join(", ")} (default ${defaultExportOpset})`],
    ["--batch <n>", `Images of a run, or any (default any; ${defaultStepBatch} for a training step)`],
    ["--taps <pattern>", "Intermediates that become outputs, such as '*.attention'; may be repeated"],
    ["--no-fold", "Keep BatchNorm apart from the convolution before it"],
    ["--training-step", "Write the training step, and its first state to FILE.state.safetensors"],
    [
      "--names <whose>",
      "Of a .safetensors file: fovea, or torch for those of timm and torchvision (default fovea)",
    ],
    ["--optimizer <name>", `Of the training step: ${Object.keys(optimizers).join(" or ")} (default sgd)`],
    ...networkFlags,
    ...sessionFlags,
  ],
  examples: [
    "fovea export runs/cbam --to digits.onnx",
    "fovea export runs/cbam --to digits.onnx --taps '*.attention' --opset 18 --batch 1",
    "fovea export runs/cbam --to digits.safetensors --names torch",
    "fovea export resnet18 --num-classes 10 --size 64 --training-step --to step.onnx",
  ],
  async run(call) {
    const { args, options } = call;
    const file = textOption(options, "to");
    if (file === undefined) throw new UsageError("--to is missing: the file to write");
    const opset = countOption(options, "opset", defaultExportOpset);
    asUsage(() => checkExportOpset(opset));
    const network = await openNetwork(args[0]!, options);
    initialize(network.model);
    const write = file.endsWith(weightsExtension)
      ? writeWeights
      : options.trainingStep === true
        ? writeStep
        : writeNetwork;
    await write(network, { file, opset }, call);
    return 0;
  },
};

/** Where to, and for which operator set. */
interface Destination {
  readonly file: string;
  readonly opset: number;
}

async function writeNetwork(
  { model, description }: OpenedNetwork,
  { file, opset }: Destination,
  { options, json, output }: CommandCall,
): Promise<void> {
  refuseOptions(options, ["optimizer"], "goes with --training-step");
  refuseOptions(options, ["names"], `goes with a ${weightsExtension} file`);
  const batch = batchOption(options);
  const { bytes, nodeCount } = exportNetwork(model, description, {
    opset,
    taps: textOptions(options, "taps"),
    foldBatchNorm: options.fold !== false,
    ...(batch === undefined ? {} : { batch }),
  });
  const worst = await checkExport(bytes, model, { session: sessionOptions(options) });
  await replaceFile(file, bytes);
  const { inputs, outputs } = decodeModel(bytes);
  if (json) {
    const difference = { output: worst.name, relative: worst.error };
    return writeJson(output, {
      file,
      opset,
      nodes: nodeCount,
      bytes: bytes.length,
      inputs,
      outputs,
      difference,
    });
  }
  const [, height, width] = description.preprocessing.imageShape;
  const rows = (direction: string, values: typeof inputs) =>
    values.map(({ name, dtype, shape }) => [direction, name, dtype, `[${shape.join(", ")}]`]);
  output.result(
    [
      `${file}: ${formatInteger(nodeCount)} nodes, ${formatBytes(bytes.length)}, operator set ${opset}`,
      `checked   loaded afresh, its outputs differ from the network's by at most ${worst.error.toExponential(1)} of the largest value (${worst.name})`,
      `images    are ${height} x ${width}, which is fixed; the metadata say how they are normalized, and name the classes`,
      "",
      table(["", "name", "dtype", "shape"], [...rows("in", inputs), ...rows("out", outputs)]),
    ].join("\n"),
  );
}

async function writeWeights(
  { model, description }: OpenedNetwork,
  { file }: Destination,
  { options, json, output }: CommandCall,
): Promise<void> {
  refuseOptions(options, onnxOnly, `is for ONNX files; ${file} is to hold weights alone`);
  refuseNoFold(options);
  const names = textOption(options, "names") ?? "fovea";
  if (names !== "fovea" && names !== "torch") {
    throw new UsageError(`--names is ${names}; it must be fovea or torch`);
  }
  const bytes = saveWeights(model, { names, metadata: descriptionMetadata(description) });
  await replaceFile(file, bytes);
  if (json) return writeJson(output, { file, names, bytes: bytes.length });
  output.result(
    `${file}: the weights under the names of ${names === "torch" ? "PyTorch" : "fovea"}, ${formatBytes(bytes.length)}`,
  );
}

async function writeStep(
  network: OpenedNetwork,
  { file, opset }: Destination,
  { options, json, output }: CommandCall,
): Promise<void> {
  refuseOptions(options, ["taps"], "does not go with --training-step");
  refuseOptions(options, ["names"], `goes with a ${weightsExtension} file`);
  refuseNoFold(options);
  if (options.batch === "any") throw new UsageError("--batch is any; a training step has a fixed one");
  const name = textOption(options, "optimizer") ?? "sgd";
  if (!Object.hasOwn(optimizers, name)) {
    throw new UsageError(`--optimizer is ${name}; it must be ${Object.keys(optimizers).join(" or ")}`);
  }
  const step = await exportStep(network, {
    opset,
    batch: batchOption(options) ?? defaultStepBatch,
    optimizer: optimizers[name]!(),
    session: sessionOptions(options),
  });
  const { bytes, state, inputs, outputs, nodeCount, difference } = step;
  const stateFile = `${file}.state.safetensors`;
  await replaceFile(stateFile, state);
  await replaceFile(file, bytes);
  if (json) {
    return writeJson(output, {
      file,
      stateFile,
      opset,
      nodes: nodeCount,
      bytes: bytes.length,
      inputs,
      outputs,
      difference,
    });
  }
  output.result(
    [
      `${file}: a training step of ${formatInteger(nodeCount)} nodes, ${formatBytes(bytes.length)}, operator set ${opset}`,
      `${stateFile}: the first values of its states`,
      `checked   run once in a fresh session, its loss differs from ours by ${difference.toExponential(1)} of it`,
      "use       feed each output that names an input to that input at the next step; all sizes are fixed",
      "",
      table(
        ["", "name", "role", "dtype", "shape", "feeds"],
        [
          ...inputs.map(({ name, role, dtype, shape }) => [
            "in",
            name,
            role,
            dtype,
            `[${shape.join(", ")}]`,
            "",
          ]),
          ...outputs.map(({ name, role, dtype, shape, feeds }) => [
            "out",
            name,
            role,
            dtype,
            `[${shape.join(", ")}]`,
            feeds,
          ]),
        ],
      ),
    ].join("\n"),
  );
}

/** The library gives --no-fold its value even where it is absent. */
function refuseNoFold(options: GivenOptions): void {
  if (options.fold === false) throw new UsageError("--no-fold is for the ONNX model of a network");
}

/** The option `--batch`; undefined for any number of images. */
function batchOption(options: GivenOptions): number | undefined {
  if (options.batch === undefined || options.batch === "any") return undefined;
  return countOption(options, "batch", 1);
}
