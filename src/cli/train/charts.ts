import { chart } from "../../report/chart.js";
import type { RecordedEvent } from "../../train/events.js";

/** Loss and accuracy over the steps of a run, as an SVG document. */
export function trainingChart(events: readonly RecordedEvent[], title: string): string {
  const steps = events.filter((event) => event.type === "step");
  const evaluations = events.filter((event) => event.type === "evaluation");
  const x = steps.map(({ step }) => step);
  const evaluatedAt = evaluations.map(({ step }) => step);
  const of = (name: string) => evaluations.map(({ values }) => values[name] ?? Number.NaN);
  return chart({
    title,
    xLabel: "step",
    panels: [
      {
        title: "Loss",
        log: true,
        series: [
          { name: "training", x, y: steps.map(({ loss }) => loss), smoothing: 0.9 },
          { name: "test", x: evaluatedAt, y: of("loss"), mark: "points" },
        ],
      },
      {
        title: "Accuracy",
        percent: true,
        range: [0.9, 1],
        series: [
          {
            name: "training",
            x,
            y: steps.map(({ metrics }) => metrics.accuracy ?? Number.NaN),
            smoothing: 0.9,
          },
          { name: "test", x: evaluatedAt, y: of("accuracy"), mark: "points" },
        ],
      },
    ],
  });
}
