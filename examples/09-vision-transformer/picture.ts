import { Canvas, type Color, formatPercent, type HeatMap, heatShader, hex, imageShader } from "fovea";
import type { Look } from "./look.ts";

const [tile, gap, margin, head, words] = [80, 6, 28, 66, 50];
const colors = { page: "#0d1015", text: "#eef1f5", muted: "#929ba8", wrong: "#ff7a72" };
const [page, text, muted, wrong] = Object.values(colors).map((color) => hex(color)) as [
  Color,
  Color,
  Color,
  Color,
];

/** A line per digit: what was read, the class token's attention block by block, head by head in the last block, and the rollout. */
export function attentionOfDigits(looks: readonly Look[], title: string): Canvas {
  const [first] = looks as [Look];
  const depth = first.blocks.length;
  const heads = first.blocks.at(-1)!.heads.length;
  // Groups of columns stand apart.
  const starts = [0, 1, 1 + depth, 1 + depth + heads];
  const left = (column: number) =>
    margin + words + column * (tile + gap) + 2 * gap * (starts.filter((start) => start <= column).length - 1);
  const top = (line: number) => margin + head + line * (tile + gap);
  const canvas = new Canvas(left(starts.at(-1)!) + tile + margin, top(looks.length) - gap + margin, {
    density: 1.5,
    background: page,
  });
  canvas.text(margin, margin + 16, title, { size: 19, color: text, weight: "medium" });
  const groups = [
    "Read as",
    `Block 1 to ${depth}, mean of the heads`,
    `Block ${depth}, head 1 to ${heads}`,
    "Rollout",
  ];
  for (const [group, heading] of groups.entries()) {
    canvas.text(group === 0 ? margin : left(starts[group]!), top(0) - 10, heading, {
      size: 11.5,
      color: muted,
    });
  }
  for (const [line, look] of looks.entries()) {
    const maps = [...look.blocks.map(({ mean }) => mean), ...look.blocks.at(-1)!.heads, look.rollout];
    for (const [column, map] of [undefined, ...maps].entries()) drawTile(column, line, look, map);
    const middle = top(line) + tile / 2;
    const isRight = look.prediction === look.label;
    const lines = [
      `${look.prediction}${isRight ? "" : ` for ${look.label}`}`,
      formatPercent(look.confidence, 0),
    ];
    for (const [index, line] of lines.entries()) {
      canvas.text(margin, middle + 16 * index, line, {
        size: index === 0 ? 13 : 10,
        color: isRight ? (index === 0 ? text : muted) : wrong,
        weight: "medium",
      });
    }
  }
  return canvas;

  function drawTile(column: number, line: number, { image }: Look, map: HeatMap | undefined): void {
    const place = [left(column), top(line), tile, tile] as const;
    canvas.pixels(...place, imageShader(image, "nearest"));
    if (!map) return;
    const range = [Math.min(...map.data), Math.max(...map.data)] as const;
    canvas.pixels(...place, heatShader(map, { map: "inferno", range, opacity: [0.35, 0.85] }));
  }
}
