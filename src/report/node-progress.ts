import cliProgress from "cli-progress";
import {
  figures,
  type LineOptions,
  lineProgress,
  type Progress,
  type ProgressPlan,
  systemClock,
  TimeLeft,
  timeLeftWords,
} from "./progress.js";
import { textWidth } from "./text-width.js";
import { formatInteger } from "./units.js";

/** Where and how progress is shown. */
export interface ProgressOptions extends ProgressPlan, LineOptions {
  /** Default: standard error, so that standard output stays free for results. */
  readonly stream?: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  /** False: plain lines even on a terminal. A bar needs a stream that is one, and TERM other than "dumb". */
  readonly isTTY?: boolean;
}

/** A bar on a terminal, plain lines elsewhere. */
export function progress(options: ProgressOptions): Progress {
  const stream = options.stream ?? process.stderr;
  const isTTY = stream.isTTY === true && process.env.TERM !== "dumb";
  if (isTTY && options.isTTY !== false) return barProgress(options, stream);
  return lineProgress(options, (line) => stream.write(`${line}\n`), options);
}

function barProgress(plan: ProgressOptions, stream: NonNullable<ProgressOptions["stream"]>): Progress {
  const timeLeft = new TimeLeft(plan, plan.clock ?? systemClock);
  const total = formatInteger(plan.total);
  const bars = new cliProgress.MultiBar({
    stream,
    fps: 8,
    // Cursor and line wrapping stay as they are: a process that is killed leaves the terminal usable.
    hideCursor: false,
    linewrap: true,
    gracefulExit: false,
    format: (_options, params, payload: { words?: readonly string[] }) => {
      const position = `${formatInteger(params.value).padStart(total.length)}/${total}`;
      return fitLine(params.progress, [position, ...(payload.words ?? [])], (stream.columns ?? 80) - 1);
    },
  });
  const bar = bars.create(plan.total, plan.done ?? 0, { words: [] });
  let stopped = false;
  return {
    update(update) {
      if (stopped) return;
      const words = [...figures(plan, update), ...timeLeftWords(timeLeft.update(update.step))];
      bar.update(update.step, { words });
    },
    message(text) {
      if (stopped) return;
      bars.log(`${text}\n`);
      bars.update();
    },
    stop() {
      if (stopped) return;
      stopped = true;
      bars.stop();
    },
  };
}

/** Bar and words on one line: the bar shrinks first, then words go from the end. */
function fitLine(share: number, words: readonly string[], columns: number): string {
  const kept = [...words];
  const least = 8;
  while (kept.length > 1 && textWidth(kept.join("  ")) + least + 2 > columns) kept.pop();
  const text = kept.join("  ");
  const size = Math.min(30, columns - textWidth(text) - 2);
  if (size < 1) return text.slice(0, Math.max(0, columns));
  const full = Math.round(Math.min(Math.max(share, 0), 1) * size);
  return `${"█".repeat(full)}${"░".repeat(size - full)}  ${text}`;
}
