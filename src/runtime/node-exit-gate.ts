/** Indexes of the shared cells. */
const busy = 0;
const ending = 1;

/**
 * Lets a process end between two requests of its worker only: ONNX Runtime's binding aborts the process where its
 * thread is stopped in the midst of a run.
 */
export class ExitGate {
  /** To be handed to the other thread. */
  readonly cells: Int32Array;

  constructor(cells: Int32Array = new Int32Array(new SharedArrayBuffer(8))) {
    this.cells = cells;
  }

  /** Before a request: false where the process is ending and nothing more may begin. */
  enter(): boolean {
    Atomics.store(this.cells, busy, 1);
    if (Atomics.load(this.cells, ending) === 0) return true;
    this.leave();
    return false;
  }

  /** After a request. */
  leave(): void {
    Atomics.store(this.cells, busy, 0);
    Atomics.notify(this.cells, busy);
  }

  /** In the thread that ends the process: blocks until no request is under way, and lets none begin. */
  close(timeoutMs: number): void {
    Atomics.store(this.cells, ending, 1);
    Atomics.wait(this.cells, busy, 1, timeoutMs);
  }
}
