import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Checkout } from "./checkout.js";

const call = "ci --include=dev --include=optional --no-audit --no-fund skip";

test("installs once, and talks to stderr", async () => {
  const checkout = await Checkout.create();
  const first = await checkout.run("setup.mjs");
  expect(first).toMatchObject({ code: 0, stdout: "" });
  expect(first.stderr).toMatch(/installing the dependencies.*\nnpm says something/);
  expect(await checkout.run("setup.mjs")).toMatchObject({ code: 0, stdout: "", stderr: "" });
  expect(await checkout.npmCalls()).toEqual([call]);
});

test("installs again when the lockfile is another, or node_modules has gone", async () => {
  const checkout = await Checkout.create();
  await checkout.run("setup.mjs");
  await checkout.lock({ "node_modules/a": { version: "1.0.1" } });
  await checkout.run("setup.mjs");
  expect(await checkout.npmCalls()).toHaveLength(2);
  await rm(join(checkout.folder, "node_modules"), { recursive: true });
  await checkout.run("setup.mjs");
  expect(await checkout.npmCalls()).toHaveLength(3);
});

test("installs again when something was taken away by hand", async () => {
  const checkout = await Checkout.create();
  await checkout.lock({ "node_modules/a": { version: "1.0.0" }, "node_modules/b": { version: "1.0.0" } });
  await checkout.run("setup.mjs");
  await checkout.installed({ "node_modules/a": { version: "1.0.0" } });
  await checkout.run("setup.mjs");
  expect(await checkout.npmCalls()).toHaveLength(2);
});

test("leaves an installation by hand alone where it has the versions of the lockfile", async () => {
  const checkout = await Checkout.create();
  const a = { version: "1.0.0" };
  const elsewhere = { version: "1.0.0", optional: true, os: ["no-such-system"], cpu: [process.arch] };
  await checkout.lock({ "node_modules/a": a, "node_modules/elsewhere": elsewhere });
  await checkout.installed({ "node_modules/a": a, "node_modules/extra": { version: "2.0.0" } });
  expect(await checkout.run("setup.mjs")).toMatchObject({ code: 0, stderr: "" });
  expect(await checkout.npmCalls()).toEqual([]);
});

test.each([
  { name: "another version", packages: { "node_modules/a": { version: "0.9.0" } } },
  { name: "no optional dependency of its own", packages: { "node_modules/a": { version: "1.0.0" } } },
])("does not take an installation by hand with $name", async ({ packages }) => {
  const checkout = await Checkout.create();
  await checkout.lock({
    "node_modules/a": { version: "1.0.0" },
    "node_modules/onnx": { version: "1.0.0", optional: true },
  });
  await checkout.installed(packages);
  await checkout.run("setup.mjs");
  expect(await checkout.npmCalls()).toEqual([call]);
});

test("says what to do where npm fails, and tries again the next time", async () => {
  const checkout = await Checkout.create();
  await checkout.write("npm-fails", "");
  const failed = await checkout.run("start.mjs", ["exit", "0"]);
  expect(failed).toMatchObject({ code: 1, stdout: "" });
  expect(failed.stderr).toContain("npm ci failed");
  await rm(join(checkout.folder, "npm-fails"));
  expect((await checkout.run("start.mjs", ["exit", "0"])).code).toBe(0);
});

test("names the version of Node.js that is needed", async () => {
  const checkout = await Checkout.create({ node: ">=999.1.0" });
  const { code, stderr } = await checkout.run("setup.mjs");
  expect(code).toBe(1);
  expect(stderr).toContain(`Node.js 999.1.0 or newer is needed, this is ${process.versions.node}`);
  expect(await checkout.npmCalls()).toEqual([]);
});
