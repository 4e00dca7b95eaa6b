import type { RecordedEvent } from "./events.js";

/** Where a run keeps its metrics and checkpoints; in Node.js a `RunFolder`. */
export interface RunStorage {
  /** Appends to the metrics; what fails is thrown by the next `save` or `flush`. */
  record(event: RecordedEvent): void;
  /** Waits until the metrics are stored. */
  flush(): Promise<void>;
  /** Stores the metrics so far, then replaces a checkpoint: afterwards the old or the new one is there, whole. */
  save(name: "last" | "best", bytes: Uint8Array): Promise<void>;
  /** A checkpoint, where there is one. */
  load(name: "last" | "best"): Promise<Uint8Array | undefined>;
  /** Drops the metrics of later steps, and those of a run's end. */
  cutBack(step: number): Promise<void>;
}
