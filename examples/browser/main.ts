// The page: what its controls do. What is computed is in network.ts.
import { Curve } from "./curve.js";
import { drawDigits, loadDigits } from "./digits.js";
import { clearCanvas, drawGates, drawHeat } from "./maps.js";
import { type Device, Network, type Reading } from "./network.js";
import { Pad } from "./pad.js";
import {
  type Language,
  type Message,
  otherLanguage,
  preferredLanguage,
  say,
  type TextName,
} from "./texts.js";

function element<T extends Element>(id: string): T {
  return document.getElementById(id) as unknown as T;
}

const [start, stop, clear, example, languageButton] = ["start", "stop", "clear", "example", "language"].map(
  (id) => element<HTMLButtonElement>(id),
) as [HTMLButtonElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement, HTMLButtonElement];
const progress = element<HTMLProgressElement>("progress");
const padCanvas = element<HTMLCanvasElement>("pad");
const heatCanvas = element<HTMLCanvasElement>("heat");
const gateRows = element<HTMLElement>("gates");

let language: Language = preferredLanguage();
/** What the two live lines say, to say it again in the other language. */
const lines: Record<"status" | "answer", Message | undefined> = { status: undefined, answer: ["untrained"] };
let reading: Reading | undefined;
let network: Network | undefined;
let stopping: AbortController | undefined;
let shownExample = 0;
/** Counts what is drawn, so that an answer that comes late is not shown. */
let drawings = 0;

const curve = new Curve(element<HTMLElement>("curve"));
const pad = new Pad(padCanvas, read);
addHeadings();
translate();
languageButton.addEventListener("click", () => {
  language = otherLanguage(language);
  translate();
});

const digits = await loadDigits().catch((error: unknown) => {
  tell("status", failed(error));
  throw error;
});
drawDigits(element<HTMLCanvasElement>("digits"), digits.train, 20, 5);
start.addEventListener("click", train);
stop.addEventListener("click", () => stopping?.abort());
clear.addEventListener("click", () => {
  pad.clear();
  read();
});
example.addEventListener("click", () => {
  pad.show(digits.test.pixels(shownExample++ % digits.test.length));
  read();
});
// Until here a click would be lost.
for (const button of [start, clear, example]) button.disabled = false;

/** Gives every section its heading. */
function addHeadings(): void {
  for (const section of document.querySelectorAll<HTMLElement>("[data-heading]")) {
    const heading = document.createElement(section.parentElement?.closest("section") ? "h3" : "h2");
    heading.id = `${section.dataset.heading}-heading`;
    heading.dataset.text = section.dataset.heading!;
    section.setAttribute("aria-labelledby", heading.id);
    section.prepend(heading);
  }
}

/** Writes every text in the present language. */
function translate(): void {
  document.documentElement.lang = language;
  for (const place of document.querySelectorAll<HTMLElement>("[data-text]")) {
    place.textContent = say(language, [place.dataset.text as TextName]);
  }
  for (const place of document.querySelectorAll<HTMLElement>("[data-label]")) {
    place.setAttribute("aria-label", say(language, [place.dataset.label as TextName]));
  }
  for (const id of ["status", "answer"] as const) tell(id, lines[id]);
  showGates();
}

function tell(id: "status" | "answer", message: Message | undefined): void {
  lines[id] = message;
  element(id).textContent = message === undefined ? "" : say(language, message);
}

function failed(error: unknown): Message {
  return ["failed", { message: error instanceof Error ? error.message : String(error) }];
}

async function train(): Promise<void> {
  const device = document.querySelector<HTMLInputElement>("input[name=device]:checked")!.value as Device;
  stopping = new AbortController();
  setTraining(true);
  tell("status", ["preparing"]);
  let begun = false;
  try {
    const { network: trained, outcome } = await Network.train(digits, device, {
      signal: stopping.signal,
      onStep: (step, total, loss) => {
        if (!begun) curve.begin(total);
        begun = true;
        curve.add(loss);
        progress.value = step / total;
        tell("status", ["step", { step, total, loss: loss.toFixed(3) }]);
      },
    });
    network = trained;
    const accuracy = `${(100 * outcome.accuracy).toFixed(1)} %`;
    const count = digits.test.length;
    tell("status", ["done", { step: outcome.steps, device, accuracy, count }]);
  } catch (error) {
    tell("status", failed(error));
  }
  setTraining(false);
  await read();
}

function setTraining(training: boolean): void {
  start.disabled = training;
  stop.disabled = !training;
  for (const input of document.querySelectorAll<HTMLInputElement>("input[name=device]"))
    input.disabled = training;
  if (training) progress.value = 0;
}

/** Reads what is drawn, and shows from what. */
async function read(): Promise<void> {
  const drawing = ++drawings;
  const values = pad.digit();
  if (network === undefined || values === undefined) {
    show(undefined, [network === undefined ? "untrained" : "waiting"]);
    return;
  }
  try {
    const found = await network.read(values);
    if (drawing !== drawings) return;
    const share = `${(100 * found.shares[found.digit]!).toFixed(1)} %`;
    show(found, ["answer", { digit: found.digit, share }]);
  } catch (error) {
    if (drawing === drawings) show(undefined, failed(error));
  }
}

function show(found: Reading | undefined, message: Message): void {
  reading = found;
  if (found) drawHeat(heatCanvas, padCanvas, found.heat);
  else clearCanvas(heatCanvas);
  tell("answer", message);
  showGates();
}

/** A row for each block. */
function showGates(): void {
  gateRows.replaceChildren(
    ...(reading?.gates ?? []).map((gates, index) => {
      const name = document.createElement("span");
      name.textContent = say(language, ["block", { block: index + 1 }]);
      const canvas = document.createElement("canvas");
      drawGates(canvas, gates);
      const row = document.createElement("div");
      row.className = "block";
      row.append(name, canvas);
      return row;
    }),
  );
}
