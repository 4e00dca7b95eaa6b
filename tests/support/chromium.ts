import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

const packages = ["chromium", "libvulkan1"];

const executables = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/usr/bin/google-chrome-stable",
  "/opt/google/chrome/chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
];

/** Folders in which Chrome and Chromium keep the software implementation of Vulkan. */
const driverFolders = [
  "/usr/lib/chromium",
  "/usr/lib/chromium-browser",
  "/opt/google/chrome",
  "/snap/chromium/current/usr/lib/chromium-browser",
];

const remedy =
  `On Debian or Ubuntu: 'apt-get update && apt-get install -y ${packages.join(" ")}' as root. Elsewhere install ` +
  "Chrome or Chromium and the Vulkan loader, and name the browser in CHROME_PATH";

/** The installed Chrome or Chromium. */
function findChromium(): string | undefined {
  const named = process.env.CHROME_PATH;
  return [...(named ? [named] : []), ...executables].find((path) => existsSync(path));
}

/** The driver file of the software Vulkan that comes with Chrome or Chromium. */
function findSoftwareDriver(): string | undefined {
  const named = process.env.CHROME_PATH;
  const folders = [...(named ? [dirname(named)] : []), ...driverFolders];
  return folders.map((folder) => join(folder, "vk_swiftshader_icd.json")).find((path) => existsSync(path));
}

async function hasVulkanLoader(): Promise<boolean> {
  const { stdout } = await run("ldconfig", ["-p"], {
    env: { ...process.env, PATH: `${process.env.PATH ?? ""}:/sbin:/usr/sbin` },
  }).catch(() => ({ stdout: "" }));
  return stdout.includes("libvulkan.so.1");
}

/** Installs Debian's packages where this process may. */
async function install(): Promise<void> {
  if (process.platform !== "linux" || process.getuid?.() !== 0 || !existsSync("/usr/bin/apt-get")) return;
  await aptGet("update");
  await aptGet("install", "-y", "--no-install-recommends", ...packages);
}

/** Milliseconds between tries, and until the last one. */
const lockWait = { step: 2000, total: 600_000 };

/** Runs apt-get. Test files that start together wait for each other: its locks are tried again. */
async function aptGet(...args: string[]): Promise<void> {
  const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, maxBuffer: 64 * 2 ** 20 };
  const end = Date.now() + lockWait.total;
  for (;;) {
    try {
      await run("apt-get", args, options);
      return;
    } catch (error) {
      if (!/ lock\b/i.test(String(error)) || Date.now() > end) throw error;
      await setTimeout(lockWait.step);
    }
  }
}

/** True while another process is in the middle of installing the packages: their files are there before they work. */
async function isBeingInstalled(): Promise<boolean> {
  const { stdout } = await run("dpkg", ["-s", ...packages]).catch((error: { stdout?: string }) => error);
  // "Status: install ok unpacked": the last word is the state.
  const states = [...(stdout ?? "").matchAll(/^Status: .* (\S+)$/gm)].map(([, state]) => state!);
  return states.some((state) => !["installed", "not-installed", "config-files"].includes(state));
}

/** The path of Chrome or Chromium, which is installed where that is possible. @throws Error that names the remedy */
export async function requireChromium(): Promise<string> {
  if (findChromium() === undefined || (await isBeingInstalled())) await install();
  const path = findChromium();
  if (path === undefined) throw new Error(`The browser tests need Chrome or Chromium. ${remedy}`);
  return path;
}

/**
 * Makes WebGPU in Node.js run on the software Vulkan of Chromium, before anything loads it. Elsewhere than on Linux, and where a
 * driver is named already, the machine's own is taken.
 * @throws Error that names the remedy
 */
export async function useSoftwareVulkan(): Promise<void> {
  if (process.platform !== "linux" || process.env.VK_DRIVER_FILES) return;
  const ready = async () =>
    findSoftwareDriver() !== undefined && (await hasVulkanLoader()) && !(await isBeingInstalled());
  if (!(await ready())) await install();
  if (!(await ready())) throw new Error(`The WebGPU tests need a software Vulkan. ${remedy}`);
  process.env.VK_DRIVER_FILES = findSoftwareDriver();
  // The Vulkan loader complains about its absence.
  process.env.XDG_RUNTIME_DIR ??= "/tmp";
}
