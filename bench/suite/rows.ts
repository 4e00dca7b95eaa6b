import { mechanismClasses } from "../../src/attention/catalogue.js";
import { OptionError } from "../../src/base/errors.js";
import { matchesPattern } from "../../src/base/pattern.js";
import { type NetworkName, networks } from "./networks.js";
import type { BuildWork, MechanismWork, NetworkWork } from "./work.js";

/** A row of the benchmark: one piece of work that the contestants do in turn. */
export interface RowOf<W> {
  /** What `--rows` selects by. */
  readonly id: string;
  readonly title: string;
  readonly work: W;
}

/** A row of any kind. */
export type Row = RowOf<NetworkWork> | RowOf<MechanismWork> | RowOf<BuildWork>;

/** Whether a row is of a kind. */
export function isKind<K extends Row["work"]["kind"]>(
  row: Row,
  kind: K,
): row is Extract<Row, { readonly work: { readonly kind: K } }> {
  return row.work.kind === kind;
}

/** A network and the square images that it gets. */
type Entry = readonly [network: NetworkName, size: number, batch: number];

const trained: readonly Entry[] = [
  // Small enough for the contestants that need seconds for it.
  ["se-resnet-20", 32, 4],
  ["se-resnet-20", 32, 64],
  ["cbam-resnet-18", 64, 32],
  ["cbam-resnet-18", 224, 8],
  ["resnest-14d", 224, 4],
  ["mobilenet-v3-small", 224, 16],
  ["vit-tiny-patch4-32", 32, 64],
  ["vit-tiny-patch16-224", 224, 8],
  ["u-net", 128, 8],
];
const inferred: readonly Entry[] = [...trained, ["se-resnet-50", 224, 1], ["se-resnet-50", 224, 8]];
const built: readonly Entry[] = [
  ["se-resnet-20", 32, 64],
  ["se-resnet-50", 224, 8],
];

const image = [8, 256, 28, 28] as const;
/** With `quick`: only to try the benchmark. */
const quick = { batch: 2, image: [2, 32, 14, 14] } as const;

/** Mechanisms without a row: the matching of DETR's loss runs on the host, between two sessions. */
const withoutRows: readonly string[] = ["detr-loss"];

/** All rows. @param options.quick small batches, whose figures say nothing */
export function allRows(options: { readonly quick: boolean }): Row[] {
  const sized = ([network, size, batch]: Entry) => {
    const count = options.quick ? Math.min(batch, quick.batch) : batch;
    return {
      id: `${network}/${size}/${batch}`,
      title: `${networks[network].title}, ${size}x${size}, batch ${count}`,
      work: { network, shape: [count, 3, size, size] },
    } as const;
  };
  const passes = (pass: NetworkWork["pass"], entries: readonly Entry[]) =>
    entries.map(sized).map(
      ({ id, title, work }): RowOf<NetworkWork> => ({
        id: `${pass}/${id}`,
        title,
        work: { kind: "network", pass, ...work },
      }),
    );
  const builds = built.map(sized).map(
    ({ id, title, work }): RowOf<BuildWork> => ({
      id: `build/${id}`,
      title,
      work: { kind: "build", ...work },
    }),
  );
  const ids = mechanismClasses().map(({ about }) => about.id);
  const mechanisms = ids
    .filter((id) => !withoutRows.includes(id))
    .flatMap((id) =>
      (["forward", "gradients"] as const).map(
        (pass): RowOf<MechanismWork> => ({
          id: `mechanism/${id}/${pass}`,
          title: id,
          work: { kind: "mechanism", mechanism: id, pass, image: options.quick ? quick.image : image },
        }),
      ),
    );
  return [...passes("training", trained), ...passes("inference", inferred), ...builds, ...mechanisms];
}

/**
 * Rows whose id fits a pattern: `training/*`, `mechanism/se/*,inference/u-net*`.
 * @throws OptionError where a pattern fits none
 */
export function selectRows(rows: readonly Row[], patterns: string | undefined): Row[] {
  if (patterns === undefined) return [...rows];
  const wanted = patterns.split(",").map((pattern) => pattern.trim());
  const fits = (row: Row, pattern: string) => matchesPattern(row.id, pattern);
  const idle = wanted.find((pattern) => !rows.some((row) => fits(row, pattern)));
  if (idle !== undefined) {
    throw new OptionError(`--rows: no row fits "${idle}"; rows are named like ${rows[0]?.id}`);
  }
  return rows.filter((row) => wanted.some((pattern) => fits(row, pattern)));
}
