import { describe, expect, it } from "vitest";
import { ContestantProcess } from "../../bench/suite/contestant-process.js";
import { optimizer } from "../../bench/suite/optimizer.js";

/** A contestant that answers with what it was asked. */
function start(answer: string): Promise<ContestantProcess> {
  const script = `
    const say = (value) => console.log("@answer " + JSON.stringify(value));
    console.log("a library says hello");
    say({ versions: { made: "1" } });
    require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
      const request = JSON.parse(line);
      ${answer}
    });`;
  return ContestantProcess.start({ file: process.execPath, args: ["-e", script] });
}

const work = { kind: "mechanism", mechanism: "se", pass: "forward", image: [1, 8, 4, 4] } as const;
const request = { id: 7, work, threads: 2, optimizer };

describe("a contestant's process", () => {
  it("greets, answers in order and ends", async () => {
    const contestant = await start(
      `console.log("noise"); say(request.do === "run" ? { milliseconds: request.id * request.calls } : { first: request.threads });`,
    );
    expect(contestant.versions).toEqual({ made: "1" });
    expect(await contestant.prepare(request)).toEqual({ first: 2 });
    const runs = await Promise.all([contestant.run(7), contestant.run(8, 3)]);
    expect(runs.map(({ milliseconds }) => milliseconds)).toEqual([7, 24]);
    await contestant.close();
    await contestant.close();
    await expect(contestant.run(7)).rejects.toThrow(/ended with 0/);
  });

  it("passes on what it cannot do", async () => {
    const contestant = await start(`say({ error: "no " + request.work.mechanism + " here" });`);
    await expect(contestant.prepare(request)).rejects.toThrow("no se here");
    await contestant.close();
  });

  it("fails with what it complained about when it dies", async () => {
    const contestant = await start(`console.error("out of luck"); process.exit(3);`);
    await expect(contestant.run(1)).rejects.toThrow(/ended with 3: out of luck/);
    await contestant.close();
  });

  it("cannot be started from what is not there", async () => {
    await expect(ContestantProcess.start({ file: "/no/such/python", args: [] })).rejects.toThrow(/ENOENT/);
  });
});
