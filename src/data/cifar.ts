import { DataError, FormatError } from "../base/errors.js";
import { type ImageShape, MemoryDataset } from "./dataset.js";
import { namedNormalization } from "./normalization.js";

/** A file of CIFAR's binary format, with a name for errors. */
export interface CifarFile {
  readonly source: string;
  readonly bytes: Uint8Array;
}

/** Which of its labels a class of CIFAR-100 is. */
export type CifarLabels = "fine" | "coarse";

const imageShape: ImageShape = [3, 32, 32];
const imageBytes = 3 * 32 * 32;

/**
 * Colour images, 3 x 32 x 32, from files of CIFAR-10's binary format: records of a label byte and 3,072 pixels, the red, the green and
 * the blue plane (Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009).
 * @param name shown in errors, such as "CIFAR-10 train"
 * @param classes their names, in the order of the labels
 * @throws FormatError where a file is no whole number of records; DataError for a label that is no class
 */
export function parseCifar10(
  name: string,
  files: readonly CifarFile[],
  classes: readonly string[],
): MemoryDataset {
  return new MemoryDataset({
    ...{ name, classes, imageShape },
    normalization: namedNormalization("cifar10"),
    ...readRecords(files, { labelBytes: 1, label: 0, classes: classes.length }),
  });
}

/**
 * Colour images, 3 x 32 x 32, from a file of CIFAR-100's binary format: records of a coarse label, a fine label and 3,072 pixels.
 * @param labels which label is an image's class
 * @throws as `parseCifar10`
 */
export function parseCifar100(
  name: string,
  file: CifarFile,
  classes: readonly string[],
  labels: CifarLabels = "fine",
): MemoryDataset {
  return new MemoryDataset({
    ...{ name, classes, imageShape },
    normalization: namedNormalization("cifar100"),
    ...readRecords([file], { labelBytes: 2, label: labels === "coarse" ? 0 : 1, classes: classes.length }),
  });
}

/** Form of a record: its label bytes, and which of them is the class. */
interface RecordForm {
  readonly labelBytes: number;
  readonly label: number;
  readonly classes: number;
}

function readRecords(
  files: readonly CifarFile[],
  form: RecordForm,
): { images: Uint8Array; labels: Uint8Array } {
  const recordBytes = form.labelBytes + imageBytes;
  const counts = files.map(({ source, bytes }) => {
    if (bytes.length === 0 || bytes.length % recordBytes !== 0) {
      throw new FormatError(
        `${source}: expected records of ${recordBytes} bytes, found ${bytes.length} bytes, which are ${Math.floor(bytes.length / recordBytes)} records and ${bytes.length % recordBytes} bytes`,
      );
    }
    return bytes.length / recordBytes;
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const images = new Uint8Array(total * imageBytes);
  const labels = new Uint8Array(total);
  let image = 0;
  for (const { source, bytes } of files) {
    for (let start = 0; start < bytes.length; start += recordBytes) {
      const label = bytes[start + form.label]!;
      if (label >= form.classes) {
        throw new DataError(
          `${source}: the label of record ${start / recordBytes} is ${label}; the classes are 0 to ${form.classes - 1}`,
        );
      }
      labels[image] = label;
      images.set(bytes.subarray(start + form.labelBytes, start + recordBytes), image * imageBytes);
      image++;
    }
  }
  return { images, labels };
}
