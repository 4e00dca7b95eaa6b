import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";
import type { Finished } from "../child.js";

const scripts = new URL("../../scripts/", import.meta.url);
const loader = new URL("typescript.mjs", scripts).href;

/** Stands for npm: notes how it was called, and installs what the lockfile names unless it is told to fail. */
const npmCli = `
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
appendFileSync("npm-calls", process.argv.slice(2).join(" ") + " " + process.env.ONNXRUNTIME_NODE_INSTALL + "\\n");
console.log("npm says something");
if (existsSync("npm-fails")) process.exit(1);
const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
delete lock.packages[""];
for (const path of Object.keys(lock.packages)) mkdirSync(path, { recursive: true });
mkdirSync("node_modules", { recursive: true });
writeFileSync("node_modules/.package-lock.json", JSON.stringify(lock));
`;

/** A program in place of the command: says what it was called with, then waits for signals where it is told to. */
const program = `
const [mode, ...args]: string[] = process.argv.slice(2).filter((arg) => arg !== "train");
console.log(JSON.stringify({ train: process.argv[2] === "train", args, cwd: process.cwd() }));
if (mode === "exit") process.exitCode = Number(args[0]);
if (mode === "wait") {
  let count = 0;
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => {
      count++;
      setTimeout(() => {
        console.log(signal + " " + count);
        process.exit(7);
      }, 300);
    });
  }
  setTimeout(() => process.exit(1), 30_000);
  console.log("ready");
}
if (mode === "die") process.kill(process.pid, "SIGKILL");
`;

interface Package {
  readonly version: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
}

/** A small checkout in a folder of its own, with the real scripts. */
export class Checkout {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(options: { readonly node?: string } = {}): Promise<Checkout> {
    const checkout = new Checkout(await mkdtemp(join(tmpdir(), "fovea-checkout-")));
    onTestFinished(() => rm(checkout.folder, { recursive: true, force: true }));
    await cp(scripts, join(checkout.folder, "scripts"), { recursive: true });
    await checkout.write("scripts/typescript.mjs", `import ${JSON.stringify(loader)};`);
    await checkout.write("src/cli/main.ts", program);
    await checkout.write("npm/npm-cli.js", npmCli);
    await checkout.write("npm/package.json", '{ "type": "module" }');
    await checkout.write(
      "package.json",
      JSON.stringify({ type: "module", engines: { node: options.node ?? ">=20.19.0" } }),
    );
    await checkout.lock({ "node_modules/a": { version: "1.0.0" } });
    return checkout;
  }

  async write(path: string, text: string): Promise<void> {
    const file = join(this.folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, text);
  }

  /** Writes the lockfile. */
  async lock(packages: Readonly<Record<string, Package>>): Promise<void> {
    const root = { "": { optionalDependencies: { onnx: "1" } } };
    await this.write("package-lock.json", JSON.stringify({ packages: { ...root, ...packages } }));
  }

  /** Writes what npm notes about an installation by hand. */
  async installed(packages: Readonly<Record<string, Package>>): Promise<void> {
    for (const path of Object.keys(packages)) await mkdir(join(this.folder, path), { recursive: true });
    await this.write("node_modules/.package-lock.json", JSON.stringify({ packages }));
  }

  /** How npm was called, call by call. */
  async npmCalls(): Promise<string[]> {
    const text = await readFile(join(this.folder, "npm-calls"), "utf8").catch(() => "");
    return text.split("\n").filter((line) => line !== "");
  }

  /** Starts a script. */
  start(script: string, args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
    const { npm_lifecycle_event: _event, INIT_CWD: _folder, ...inherited } = process.env;
    const child = spawn(process.execPath, [join(this.folder, "scripts", script), ...args], {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...inherited, npm_execpath: join(this.folder, "npm", "npm-cli.js"), ...env },
    });
    const texts = { stdout: "", stderr: "" };
    let ready: () => void;
    const isReady = new Promise<void>((resolve) => {
      ready = resolve;
    });
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        texts[name] += chunk;
        if (texts.stdout.includes("ready")) ready();
      });
    }
    const finished = new Promise<Finished & { signal: string | null }>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => resolve({ code, signal, ...texts }));
    });
    return { child, isReady, finished };
  }

  run(...call: Parameters<Checkout["start"]>) {
    return this.start(...call).finished;
  }
}
