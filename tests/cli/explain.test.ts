import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { imageFolders, writeMaps } from "../../src/cli/explain/result-files.js";
import type { ExplainedMap } from "../../src/explain/types.js";
import { toHostTensor } from "../../src/formats/file-tensor.js";
import { readNpy } from "../../src/formats/npy.js";
import { fovea } from "./fovea.js";

let folder: string;
let photo: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "fovea-explain-"));
  photo = join(folder, "a photo.png");
  const pixels = Uint8Array.from({ length: 60 * 40 * 3 }, (_, at) => (at * 7) % 256);
  await sharp(pixels, { raw: { width: 60, height: 40, channels: 3 } })
    .png()
    .toFile(photo);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Report {
  readonly method: string;
  readonly images: readonly {
    readonly image: string;
    readonly folder: string;
    readonly gallery: string;
    readonly class: string;
    readonly probability: number;
    readonly maps: readonly {
      readonly tap: string;
      readonly kind: string;
      readonly class?: string;
      readonly shape: readonly number[];
      readonly picture: string;
      readonly values: string;
      readonly faithfulness?: { readonly insertion: number; readonly deletion: number };
    }[];
  }[];
  readonly broken: readonly { readonly image: string; readonly problem: string }[];
}

const network = ["--model", "seresnet8", "--attention", "cbam", "--num-classes", "4", "--size", "32"];

/** Width and height of a PNG file with more than one colour. */
async function pictureSize(path: string): Promise<[width: number, height: number]> {
  const { width, height } = await sharp(path).metadata();
  const { channels } = await sharp(path).stats();
  expect(channels.some(({ min, max }) => max > min)).toBe(true);
  return [width, height];
}

test("fovea explain writes an overlay and the values of every map, and all of them as one picture", async () => {
  const to = join(folder, "maps");
  const { code, json } = await fovea(
    "explain",
    photo,
    photo,
    ...network,
    "--taps",
    "layer3.0.*",
    "--to",
    to,
    "--json",
  );
  expect(code).toBe(0);
  const { method, images, broken } = json<Report>();
  expect([method, broken]).toEqual(["attention", []]);
  expect(images.map((image) => image.folder)).toEqual([join(to, "a_photo"), join(to, "a_photo-2")]);
  const [first] = images as [Report["images"][number]];
  expect(first.maps.map(({ kind, shape }) => [kind, shape])).toEqual([
    ["channel-gate", [64, 1, 1]],
    ["spatial", [1, 8, 8]],
  ]);
  const files = first.maps.flatMap(({ picture, values }) => [picture, values]);
  expect(files).toContain("layer3.0.se.spatial.attention.png");
  expect((await readdir(first.folder)).sort()).toEqual([...files, first.gallery].sort());
  expect(await pictureSize(join(first.folder, first.maps[0]!.picture))).toEqual([480, 160]);
  expect(await pictureSize(join(first.folder, first.maps[1]!.picture))).toEqual([224, 224]);
  await pictureSize(join(first.folder, first.gallery));
  for (const { values, shape } of first.maps) {
    const tensor = toHostTensor(readNpy(await readFile(join(first.folder, values))));
    expect(tensor).toMatchObject({ dtype: "float32", shape });
    expect((tensor.data as Float32Array).every((value) => value > 0 && value < 1)).toBe(true);
  }
});

test("classes, steps and faithfulness", async () => {
  const to = join(folder, "classes");
  const asked = ["--class", "1", "--class", "3", "--method", "integrated-gradients", "--steps", "4"];
  const { code, json } = await fovea(
    "explain",
    photo,
    ...network,
    ...asked,
    "--faithfulness",
    "--to",
    to,
    "--json",
  );
  expect(code).toBe(0);
  const [image] = json<Report>().images;
  expect(image!.maps.map((map) => [map.picture, map.class, map.shape])).toEqual([
    ["input-1.png", "1", [3, 32, 32]],
    ["input-3.png", "3", [3, 32, 32]],
  ]);
  for (const { faithfulness } of image!.maps) {
    for (const area of [faithfulness!.insertion, faithfulness!.deletion]) {
      expect(area).toBeGreaterThan(0);
      expect(area).toBeLessThan(1);
    }
  }
});

test("files of one image have names of their own", async () => {
  const to = await mkdtemp(join(folder, "names-"));
  const map = {
    name: "m",
    kind: "spatial",
    module: "",
    axes: ["row", "column"],
    layout: { axes: ["row", "column"] },
  } as const;
  const long = "l".repeat(130);
  const taps = ["a b", "a_b", "A_b", `${long}1`, `${long}2`, "all-maps"];
  const maps = taps.map((tap, at): ExplainedMap => {
    const values = { dtype: "float32", shape: [1, 1], data: Float32Array.of(at) } as const;
    const heat = { data: values.data, shape: [1, 1] };
    return {
      ...map,
      tap,
      values,
      views: [{ form: "heat", label: "", heat, overImage: true, signed: false }],
    };
  });
  const image = { data: new Float32Array(3), shape: [3, 1, 1] };
  const written = await writeMaps(to, { image, maps, classes: [], title: "", subtitle: "" });
  const cut = "l".repeat(120);
  const names = ["a_b", "a_b-2", "A_b-3", cut, `${cut}-2`, "all-maps-2"];
  expect(written.map(({ picture }) => picture)).toEqual(names.map((name) => `${name}.png`));
  for (const [at, { values }] of written.entries()) {
    expect(toHostTensor(readNpy(await readFile(join(to, values)))).data).toEqual(Float32Array.of(at));
  }
  expect(imageFolders("to", ["x/a b.png", "a_b.jpg"])).toEqual([join("to", "a_b"), join("to", "a_b-2")]);
});

test("a broken image is named, the others are explained", async () => {
  const broken = join(folder, "broken.jpg");
  await writeFile(broken, "no image");
  const to = join(folder, "some");
  const { code, out, log } = await fovea(
    "explain",
    broken,
    photo,
    ...network,
    "--method",
    "grad-cam",
    "--to",
    to,
  );
  expect(code).toBe(1);
  expect(log).toContain(`fovea: ${broken}`);
  expect(out).toMatch(/layer3\.0\.output, \d +spatial +\[8, 8\] +\S+layer3\.0\.output\.png/);
  expect(await readdir(to)).toEqual(["a_photo"]);
});

test.each([
  [["--method", "rolout"], /--method is rolout; did you mean rollout\?/],
  [["--method", "rollout"], /methods that fit this network: attention, grad-cam, grad-cam\+\+, occlusion/],
  [["--class", "4"], /--class is 4/],
  [["--class", "1"], /attention takes no classes, unlike grad-cam/],
  [["--steps", "3"], /attention takes no steps, unlike integrated-gradients/],
  [["--method", "occlusion", "--taps", "*"], /occlusion takes no taps/],
  [["--faithfulness"], /--faithfulness measures maps of a class and rollouts, not those of attention/],
  [["--taps", "layer9.*"], /no tap fits "layer9\.\*"/],
] as const)("%s is wrong usage", async (options, problem) => {
  const to = join(folder, "refused");
  const { code, log } = await fovea("explain", photo, ...network, ...options, "--to", to);
  expect([code, log]).toEqual([2, expect.stringMatching(problem)]);
});

test("the network must be named", async () => {
  const { code, log } = await fovea("explain", photo);
  expect([code, log]).toEqual([2, expect.stringContaining("--model is missing")]);
});
