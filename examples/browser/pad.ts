import { greyPixels } from "./digits.js";

/** Side of a digit's image, and of the box that MNIST fits the strokes into, in pixels. */
const side = 28;
const box = 20;

/** A field to draw a digit in, white on black. */
export class Pad {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;

  /** @param onDrawn called when a stroke ends */
  constructor(canvas: HTMLCanvasElement, onDrawn: () => void) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d", { willReadFrequently: true })!;
    this.clear();
    let last: readonly [number, number] | undefined;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      last = this.#stroke(this.#place(event), this.#place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (last) last = this.#stroke(last, this.#place(event));
    });
    for (const end of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(end, () => {
        if (last) onDrawn();
        last = undefined;
      });
    }
  }

  clear(): void {
    this.#context.fillStyle = "#000";
    this.#context.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** Shows a digit of 28 x 28 grey values. */
  show(values: Uint8Array): void {
    const small = smallCanvas();
    small.context.putImageData(new ImageData(greyPixels(values), side, side), 0, 0);
    this.clear();
    this.#context.drawImage(small.canvas, 0, 0, this.#canvas.width, this.#canvas.height);
  }

  /** The drawing as MNIST has its digits: fitted into 20 x 20 pixels, its centre of mass in the middle; undefined where nothing is drawn. */
  digit(): Uint8Array | undefined {
    const { width, height } = this.#canvas;
    const { data } = this.#context.getImageData(0, 0, width, height);
    const drawn: { x: number; y: number; value: number }[] = [];
    for (let at = 0; at < width * height; at++) {
      const value = data[4 * at]!;
      if (value > 40) drawn.push({ x: at % width, y: Math.floor(at / width), value });
    }
    if (drawn.length === 0) return undefined;
    const bounds = (axis: "x" | "y") => {
      const places = drawn.map((place) => place[axis]);
      return [
        places.reduce((low, at) => Math.min(low, at)),
        places.reduce((high, at) => Math.max(high, at)),
      ] as const;
    };
    const mass = drawn.reduce((sum, { value }) => sum + value, 0);
    const centre = (axis: "x" | "y") =>
      drawn.reduce((sum, place) => sum + place.value * place[axis], 0) / mass;
    const [left, right] = bounds("x");
    const [top, bottom] = bounds("y");
    const scale = box / Math.max(right - left + 1, bottom - top + 1);
    const small = smallCanvas();
    small.context.imageSmoothingQuality = "high";
    small.context.setTransform(
      scale,
      0,
      0,
      scale,
      side / 2 - scale * centre("x"),
      side / 2 - scale * centre("y"),
    );
    small.context.drawImage(this.#canvas, 0, 0);
    const pixels = small.context.getImageData(0, 0, side, side).data;
    return Uint8Array.from({ length: side * side }, (_, at) => pixels[4 * at]!);
  }

  /** Where the pointer is, in the canvas's own pixels. */
  #place(event: PointerEvent): readonly [number, number] {
    const scale = this.#canvas.width / this.#canvas.clientWidth;
    return [event.offsetX * scale, event.offsetY * scale];
  }

  #stroke(from: readonly [number, number], to: readonly [number, number]): readonly [number, number] {
    const context = this.#context;
    context.strokeStyle = "#fff";
    context.lineWidth = this.#canvas.width / 13;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    return to;
  }
}

function smallCanvas(): { canvas: HTMLCanvasElement; context: CanvasRenderingContext2D } {
  const canvas = document.createElement("canvas");
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true })!;
  context.fillStyle = "#000";
  context.fillRect(0, 0, side, side);
  return { canvas, context };
}
