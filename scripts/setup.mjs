// Set-up of a checkout: the dependencies of the lockfile, installed only where they are missing or others.
// `npm start`, `npm test` and `npm run fovea` call it first; by itself: node scripts/setup.mjs
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

const lockfile = join(root, "package-lock.json");
/** npm's own record of what lies in node_modules; npm writes it last. */
const installed = join(root, "node_modules", ".package-lock.json");
/** Hash of the two at the last set-up. */
const stamp = join(root, "node_modules", ".fovea-setup");

/** Makes the checkout ready to run; says nothing where it is. Its talk goes to stderr. Ends the process where it fails. */
export function setUp() {
  try {
    checkNode();
    if (isUpToDate()) return;
    install();
  } catch (error) {
    console.error(`fovea set-up: ${error.message}`);
    process.exit(1);
  }
}

function checkNode() {
  const { engines } = readJson(join(root, "package.json"));
  const minimum = engines.node.replace(/^>=/, "");
  const [found, needed] = [process.versions.node, minimum].map((version) => version.split(".").map(Number));
  const at = found.findIndex((part, index) => part !== needed[index]);
  if (at >= 0 && found[at] < needed[at]) {
    throw new Error(
      `Node.js ${minimum} or newer is needed, this is ${process.versions.node} (https://nodejs.org)`,
    );
  }
}

function isUpToDate() {
  if (!existsSync(installed)) return false;
  const hash = stateHash();
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === hash) return true;
  // Somebody ran npm: that is as good where it brought the versions of the lockfile.
  if (!holdsLockfile()) return false;
  writeFileSync(stamp, hash);
  return true;
}

function holdsLockfile() {
  const { packages: wanted } = readJson(lockfile);
  const { packages: found } = readJson(installed);
  const direct = new Set(
    Object.keys(wanted[""].optionalDependencies ?? {}).map((name) => `node_modules/${name}`),
  );
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    if (found[path]) return found[path].version === entry.version && existsSync(join(root, path));
    return entry.optional === true && !direct.has(path) && !isForThisMachine(entry);
  });
}

/** True for a package of binaries that npm would have installed here. */
function isForThisMachine({ os, cpu, libc }) {
  if (os === undefined || cpu === undefined || libc !== undefined) return false;
  return os.includes(process.platform) && cpu.includes(process.arch);
}

function install() {
  console.error("fovea set-up: installing the dependencies (about 800 MB on disk, once) ...");
  // onnxruntime-node's install step fetches CUDA libraries; what fovea uses is inside the package.
  // `npm run -s` would hide why an installation fails.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip", npm_config_loglevel: "error" };
  const options = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund"];
  const npm = process.env.npm_execpath ?? "";
  const [command, args] = npm.endsWith("npm-cli.js")
    ? [process.execPath, [npm, ...options]]
    : ["npm", options];
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: ["ignore", 2, 2],
    shell: command === "npm" && process.platform === "win32",
  });
  if (error) throw new Error(`npm cannot be started (${error.message}); it comes with Node.js`);
  if (status !== 0) {
    throw new Error(
      "npm ci failed, what it said stands above. It needs the npm registry (a proxy is set by " +
        "'npm config set proxy URL') and a folder that can be written to; then run the same command again",
    );
  }
  writeFileSync(stamp, stateHash());
}

function stateHash() {
  return createHash("sha256").update(readFileSync(lockfile)).update(readFileSync(installed)).digest("hex");
}

function readJson(file) {
  return JSON.parse(readFileSync(file, "utf8"));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) setUp();
