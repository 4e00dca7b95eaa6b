import { worstOf } from "./compare.js";
import { readGoldenCase } from "./golden-case.js";
import { verifyCase } from "./verify.js";

/** The verdict on one golden file. */
export interface CaseReport {
  readonly file: string;
  /** Id of the mechanism; null where the file could not be read. */
  readonly mechanism: string | null;
  readonly status: "pass" | "fail";
  /** Error of the tensor nearest to, or farthest beyond, its tolerance; null where it is not a number or nothing was computed. */
  readonly worst: number | null;
  /** That tensor, with what is wrong with it; or why nothing was computed. */
  readonly where: string;
}

/** Reads and verifies one golden file. Whatever is wrong with it becomes the verdict. */
export async function verifyGolden(file: string, read: () => Promise<Uint8Array>): Promise<CaseReport> {
  let mechanism: string | null = null;
  try {
    const golden = readGoldenCase(await read(), file);
    mechanism = golden.mechanism;
    const { comparisons } = await verifyCase(golden);
    const worst = worstOf(comparisons)!;
    const failed = comparisons.filter(({ passed }) => !passed);
    const others = failed.length > 1 ? ` (and ${failed.length - 1} more)` : "";
    return {
      file,
      mechanism,
      status: failed.length === 0 ? "pass" : "fail",
      worst: Number.isFinite(worst.error) ? worst.error : null,
      where: worst.problem ? `${worst.name}: ${worst.problem}${others}` : worst.name,
    };
  } catch (error) {
    const where = error instanceof Error ? error.message : String(error);
    return { file, mechanism, status: "fail", worst: null, where };
  }
}
