/** Whether all cases are tested (`npm run test:webgpu`) or, as in every run of the tests, some: a software GPU is slow. */
const testsAll = process.env.FOVEA_WEBGPU === "all";

/** The cases to be tested: all, or every so many, in their order. */
export function sampled<Case>(cases: readonly Case[], stride: number): readonly Case[] {
  return testsAll ? cases : cases.filter((_, index) => index % stride === 0);
}
