import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
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
  const options = { env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }, maxBuffer: 64 * 2 ** 20 };
  // Test files that start together wait for each other at the lock.
  const lock = ["-o", "DPkg::Lock::Timeout=600"];
  await run("apt-get", [...lock, "update"], options);
  await run("apt-get", [...lock, "install", "-y", "--no-install-recommends", ...packages], options);
}

/** The path of Chrome or Chromium, which is installed where that is possible. @throws Error that names the remedy */
export async function requireChromium(): Promise<string> {
  if (findChromium() === undefined) await install();
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
  const ready = async () => findSoftwareDriver() !== undefined && (await hasVulkanLoader());
  if (!(await ready())) await install();
  if (!(await ready())) throw new Error(`The WebGPU tests need a software Vulkan. ${remedy}`);
  process.env.VK_DRIVER_FILES = findSoftwareDriver();
  // The Vulkan loader complains about its absence.
  process.env.XDG_RUNTIME_DIR ??= "/tmp";
}
