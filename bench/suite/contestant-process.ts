import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { answerMark, type Greeting, type Prepared, type Request, type Run } from "./protocol.js";

/** How a contestant is started. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

interface Waiting {
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

const closingMilliseconds = 5000;

/** A contestant's process. */
export class ContestantProcess {
  readonly #child: ChildProcess;
  readonly #waiting: Waiting[] = [];
  #ended: Error | undefined;
  #complaints = "";
  #greeting!: Greeting;

  private constructor({ file, args, env }: Command) {
    this.#child = spawn(file, args, { stdio: "pipe", env: { ...process.env, ...env } });
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-4000);
    });
    this.#child.stdin!.on("error", () => undefined);
    createInterface({ input: this.#child.stdout! }).on("line", (line) => this.#hear(line));
    this.#child.on("error", (error) => this.#end(error));
    this.#child.on("close", (code, signal) => {
      const said = this.#complaints.trim().split("\n").slice(-4).join("\n");
      this.#end(new Error(`the process ended with ${signal ?? code}${said && `: ${said}`}`));
    });
  }

  /** Starts a contestant. @throws Error where it does not greet */
  static async start(command: Command): Promise<ContestantProcess> {
    const contestant = new ContestantProcess(command);
    contestant.#greeting = (await contestant.#answer()) as Greeting;
    return contestant;
  }

  get versions(): Greeting["versions"] {
    return this.#greeting.versions;
  }

  /** Makes it ready for work and does that once. @throws Error that says why it cannot */
  async prepare(request: Omit<Extract<Request, { do: "prepare" }>, "do">): Promise<Prepared> {
    return (await this.#ask({ do: "prepare", ...request })) as Prepared;
  }

  /** Does the work, several times in a row where `calls` says so. */
  async run(id: number, calls = 1): Promise<Run> {
    return (await this.#ask({ do: "run", id, calls })) as Run;
  }

  /** Forgets work. */
  async forget(id: number): Promise<void> {
    await this.#ask({ do: "close", id });
  }

  /** Bytes that the process holds now and held at most; undefined where the system does not tell. */
  async memory(): Promise<{ readonly now: number; readonly peak: number } | undefined> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, "utf8").catch(() => "");
    const bytes = (field: string) =>
      Number(new RegExp(`^${field}:\\s*(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
    const [now, peak] = [bytes("VmRSS"), bytes("VmHWM")];
    return Number.isFinite(now) && Number.isFinite(peak) ? { now, peak } : undefined;
  }

  /** Ends the process: its input ends, and where that is not enough it is killed. */
  async close(): Promise<void> {
    if (this.#ended) return;
    const closed = new Promise<void>((resolve) => this.#child.once("close", () => resolve()));
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), closingMilliseconds);
    await closed;
    clearTimeout(timer);
  }

  async #ask(request: Request): Promise<unknown> {
    if (this.#ended) throw this.#ended;
    this.#child.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.#answer();
  }

  #answer(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#ended) reject(this.#ended);
      else this.#waiting.push({ resolve, reject });
    });
  }

  #hear(line: string): void {
    if (!line.startsWith(answerMark)) return;
    const answer = JSON.parse(line.slice(answerMark.length)) as { readonly error?: string };
    const waiting = this.#waiting.shift();
    if (answer.error !== undefined) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#ended);
  }
}
