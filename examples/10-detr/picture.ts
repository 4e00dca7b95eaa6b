import { type Box, Canvas, type Color, type HeatMap, heatShader, hex, imageShader } from "fovea";
import { maxDigits, type Scene, sceneSize } from "./scenes.ts";

/** A detected object and where the network looked. */
export interface SeenObject {
  readonly class: number;
  readonly score: number;
  readonly box: Box;
  /** Attention of its query to the places of the scene. */
  readonly decoder: HeatMap;
  /** Attention of the place at its centre to all places. */
  readonly encoder: HeatMap;
}

/** A scene and what was detected in it, surest first. */
export interface SeenScene {
  readonly scene: Scene;
  readonly objects: readonly SeenObject[];
}

const [tile, gap, margin, head] = [148, 8, 28, 62];
const colors = ["#6cb6ff", "#ffb454", "#7ee2a8"].map((color) => hex(color));
const [page, text, muted] = ["#0d1015", "#eef1f5", "#929ba8"].map((color) => hex(color)) as [
  Color,
  Color,
  Color,
];

/** A line per scene: the detections, then for each what its query looks at, and what its centre attends to in the encoder. */
export function attentionOverScenes(scenes: readonly SeenScene[], title: string): Canvas {
  const columns = 1 + 2 * maxDigits;
  const left = (column: number) =>
    margin + column * (tile + gap) + (column > 0 ? gap : 0) + (column > maxDigits ? gap : 0);
  const canvas = new Canvas(
    left(columns - 1) + tile + margin,
    margin + head + scenes.length * (tile + gap) + margin - gap,
    {
      density: 2,
      background: page,
    },
  );
  canvas.text(margin, margin + 16, title, { size: 19, color: text, weight: "medium" });
  const heads: [number, string][] = [
    [0, "Detections"],
    [1, "Decoder: where the query of each object looks (last layer, mean of the heads)"],
    [1 + maxDigits, "Encoder: where the place at its centre looks (last layer, mean of the heads)"],
  ];
  for (const [column, words] of heads) {
    canvas.text(left(column), margin + head - 12, words, { size: 11.5, color: muted });
  }
  for (const [line, { scene, objects }] of scenes.entries()) {
    const top = margin + head + line * (tile + gap);
    drawScene(canvas, scene, left(0), top);
    for (const [index, object] of objects.slice(0, maxDigits).entries()) {
      const color = colors[index]!;
      drawBox(canvas, object.box, left(0), top, color);
      const words = `${object.class}  ${Math.round(100 * object.score)} %`;
      const [x, y] = [object.box[0] - object.box[2] / 2, object.box[1] - object.box[3] / 2];
      canvas.text(left(0) + x * tile, top + Math.max(y * tile - 3, 9), words, {
        size: 10,
        color,
        weight: "medium",
      });
      for (const [column, map] of [
        [1, object.decoder],
        [1 + maxDigits, object.encoder],
      ] as const) {
        drawScene(canvas, scene, left(column + index), top);
        canvas.pixels(
          left(column + index),
          top,
          tile,
          tile,
          heatShader(map, { map: "inferno", opacity: [0.45, 0.85] }),
        );
        drawBox(canvas, object.box, left(column + index), top, color);
      }
    }
  }
  return canvas;
}

function drawScene(canvas: Canvas, { pixels }: Scene, x: number, y: number): void {
  const image = { data: pixels, shape: [1, sceneSize, sceneSize] };
  canvas.pixels(x, y, tile, tile, imageShader(image, "bilinear"));
}

function drawBox(canvas: Canvas, [x, y, width, height]: Box, left: number, top: number, color: Color): void {
  const [boxLeft, boxTop] = [left + (x - width / 2) * tile, top + (y - height / 2) * tile];
  canvas.frame(boxLeft, boxTop, width * tile, height * tile, color, 1.5);
}
