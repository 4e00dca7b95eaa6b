import { createInterface } from "node:readline";
import { answerMark, type Prepared, type Request, type Run } from "../suite/protocol.js";

/** Work that can be done over and over. */
export interface ReadyWork extends Prepared {
  /** Does it once. @returns what it measured itself, if anything */
  run(): Promise<Partial<Run> | undefined>;
  close(): Promise<void>;
}

/** What a contestant written in TypeScript can do. */
export interface Contestant {
  readonly versions: Readonly<Record<string, string>>;
  /** Makes ready and does the work once. @throws Error that says why it cannot */
  prepare(request: PrepareRequest): Promise<ReadyWork>;
  close(): Promise<void>;
}

/** A request to make ready. */
export type PrepareRequest = Extract<Request, { readonly do: "prepare" }>;

/** Answers requests until the input ends. */
export async function serve(contestant: Contestant): Promise<void> {
  const ready = new Map<number, ReadyWork>();
  const answer = (value: unknown) => process.stdout.write(`${answerMark}${JSON.stringify(value)}\n`);
  answer({ versions: contestant.versions });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      answer(await carryOut(JSON.parse(line) as Request, contestant, ready));
    } catch (error) {
      answer({ error: error instanceof Error ? error.message : String(error) });
    }
  }
  for (const work of ready.values()) await work.close();
  await contestant.close();
}

async function carryOut(
  request: Request,
  contestant: Contestant,
  ready: Map<number, ReadyWork>,
): Promise<object> {
  const { id } = request;
  if (request.do === "prepare") {
    const prepared = await contestant.prepare(request);
    ready.set(id, prepared);
    const { run: _, close: __, ...facts } = prepared;
    return facts;
  }
  const work = ready.get(id);
  if (!work) throw new Error(`nothing is prepared under ${id}`);
  if (request.do === "run") return runOf(work, request.calls);
  ready.delete(id);
  await work.close();
  return {};
}

async function runOf(work: ReadyWork, calls: number): Promise<Run> {
  let total = 0;
  let parts: Run["parts"];
  for (let call = 0; call < calls; call++) {
    const start = performance.now();
    const measured = await work.run();
    total += measured?.milliseconds ?? performance.now() - start;
    parts = measured?.parts;
  }
  return { milliseconds: total / calls, ...(parts ? { parts } : {}) };
}
