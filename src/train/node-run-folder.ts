import { join } from "node:path";
import { DataError } from "../base/errors.js";
import { type ConfigValue, configDifferences } from "./config-difference.js";
import type { RecordedEvent } from "./events.js";
import {
  codeOf,
  type FileSystem,
  fileError,
  nodeFileSystem,
  readWholeFile,
  removeTemporaries,
  replaceFile,
} from "./node-atomic-file.js";
import type { RunStorage } from "./run-storage.js";

/** What a run was started with: model, data, optimizer ... and the surroundings (versions, threads, device). */
export type RunConfig = { readonly [name: string]: ConfigValue };

/** Entries of a configuration in which a resumed run may differ. */
const surroundings: readonly string[] = ["versions", "threads", "device", "epochs", "steps"];

const configFile = "config.json";
const metricsFile = "metrics.jsonl";
const checkpointFile = (name: "last" | "best") => `${name}.safetensors`;

/** Largest files that are read, in bytes. */
const limits = { config: 2 ** 24, metrics: 2 ** 30, checkpoint: 2 ** 33 } as const;

/**
 * The folder of a run: `config.json`, `metrics.jsonl` (one event a line), `last.safetensors` and `best.safetensors`. Files are replaced
 * whole or not at all; what a killed process has left half-written is dropped when the folder is opened or cut back.
 */
export class RunFolder implements RunStorage {
  readonly path: string;
  readonly config: RunConfig;
  readonly #files: FileSystem;
  #writing: Promise<void> = Promise.resolve();
  #failure: DataError | undefined;

  private constructor(path: string, config: RunConfig, files: FileSystem) {
    this.path = path;
    this.config = config;
    this.#files = files;
  }

  /**
   * Makes the folder of a new run.
   * @throws DataError where it cannot be written, or holds a run already
   */
  static async create(
    path: string,
    config: RunConfig,
    files: FileSystem = nodeFileSystem,
  ): Promise<RunFolder> {
    await RunFolder.requireFree(path, files);
    try {
      await files.mkdir(path, { recursive: true });
      await removeTemporaries(path, files);
    } catch (error) {
      throw fileError(`cannot make the folder ${path}`, error);
    }
    await replaceFile(join(path, configFile), `${JSON.stringify(config, null, 2)}\n`, files);
    return new RunFolder(path, config, files);
  }

  /** Refuses a folder that holds a run already; one that does not exist is free. @throws DataError */
  static async requireFree(path: string, files: FileSystem = nodeFileSystem): Promise<void> {
    let names: readonly string[] = [];
    try {
      names = await files.readdir(path);
    } catch (error) {
      if (codeOf(error) !== "ENOENT") throw fileError(`cannot make the folder ${path}`, error);
    }
    const taken = names.filter((name) => runFiles.includes(name));
    if (taken.length === 0) return;
    throw new DataError(
      `${path} holds a run already (${taken.join(", ")}); resume it, or name another folder`,
    );
  }

  /** Opens the folder of a run. @throws DataError where it is none */
  static async open(path: string, files: FileSystem = nodeFileSystem): Promise<RunFolder> {
    const file = join(path, configFile);
    const bytes = await readWholeFile(file, limits.config, files);
    if (bytes === undefined) throw new DataError(`${path} is no run: ${configFile} is missing`);
    const config = parse(new TextDecoder().decode(bytes));
    if (!isConfig(config)) throw new DataError(`${file} is not a JSON object`);
    return new RunFolder(path, config, files);
  }

  /**
   * Opens a run's folder to go on with it, as what `config` says.
   * @param options.mayDiffer entries that may differ; `surroundings` by default
   * @throws DataError that names the differences where the run was another's
   */
  static async resume(
    path: string,
    config: RunConfig,
    options: { readonly mayDiffer?: readonly string[]; readonly files?: FileSystem } = {},
  ): Promise<RunFolder> {
    const { mayDiffer = surroundings, files = nodeFileSystem } = options;
    const folder = await RunFolder.open(path, files);
    // As it would have been written: without what JSON cannot hold.
    const now = JSON.parse(JSON.stringify(config)) as RunConfig;
    const fixed = (tree: RunConfig) =>
      Object.fromEntries(Object.entries(tree).filter(([name]) => !mayDiffer.includes(name)));
    const differences = configDifferences(fixed(folder.config), fixed(now));
    if (differences.length > 0) {
      throw new DataError(`${path} is the run of another configuration: ${differences.join("; ")}`);
    }
    try {
      await removeTemporaries(path, files);
    } catch (error) {
      throw fileError(`cannot write to ${path}`, error);
    }
    return folder;
  }

  record(event: RecordedEvent): void {
    const line = `${JSON.stringify(event)}\n`;
    this.#writing = this.#writing.then(async () => {
      if (this.#failure) return;
      const path = join(this.path, metricsFile);
      try {
        await this.#files.appendFile(path, line);
      } catch (error) {
        this.#failure = fileError(`cannot append to ${path}`, error);
      }
    });
  }

  /** @throws DataError where metrics could not be written */
  async flush(): Promise<void> {
    await this.#writing;
    if (this.#failure) throw this.#failure;
  }

  async save(name: "last" | "best", bytes: Uint8Array): Promise<void> {
    await this.flush();
    await this.#syncMetrics();
    await replaceFile(join(this.path, checkpointFile(name)), bytes, this.#files);
  }

  /** A checkpoint must not outlive the metrics before it. */
  async #syncMetrics(): Promise<void> {
    const path = join(this.path, metricsFile);
    try {
      const handle = await this.#files.open(path, "a");
      try {
        await handle.datasync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw fileError(`cannot append to ${path}`, error);
    }
  }

  async load(name: "last" | "best"): Promise<Uint8Array | undefined> {
    return readWholeFile(join(this.path, checkpointFile(name)), limits.checkpoint, this.#files);
  }

  async cutBack(step: number): Promise<void> {
    const events = await this.metrics();
    const kept = events.filter((event) => event.step <= step && event.type !== "end");
    const text = kept.map((event) => `${JSON.stringify(event)}\n`).join("");
    await replaceFile(join(this.path, metricsFile), text, this.#files);
  }

  /**
   * The metrics so far. A last line that was cut off is left out.
   * @throws DataError for another line that is no event
   */
  async metrics(): Promise<RecordedEvent[]> {
    await this.flush();
    const path = join(this.path, metricsFile);
    const bytes = await readWholeFile(path, limits.metrics, this.#files);
    const lines = new TextDecoder().decode(bytes ?? new Uint8Array()).split("\n");
    // After the last newline comes nothing, or a line whose writing was cut off.
    lines.pop();
    return lines.map((line, index) => {
      const event = parse(line);
      if (!isConfig(event) || typeof event.type !== "string" || !Number.isSafeInteger(event.step)) {
        throw new DataError(`${path}: line ${index + 1} is no event: ${line.slice(0, 80)}`);
      }
      return event as unknown as RecordedEvent;
    });
  }
}

const runFiles = [configFile, metricsFile, checkpointFile("last"), checkpointFile("best")];

function parse(text: string): ConfigValue | undefined {
  try {
    return JSON.parse(text) as ConfigValue;
  } catch {
    return undefined;
  }
}

function isConfig(value: ConfigValue | undefined): value is RunConfig {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
