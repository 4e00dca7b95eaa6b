const [width, height, left, bottom] = [480, 160, 40, 20];

/** The loss of every step as a curve that grows. */
export class Curve {
  readonly #host: HTMLElement;
  readonly #losses: number[] = [];
  #total = 1;

  constructor(host: HTMLElement) {
    this.#host = host;
    this.#draw();
  }

  /** Begins anew. @param total steps along the axis */
  begin(total: number): void {
    this.#losses.length = 0;
    this.#total = total;
    this.#draw();
  }

  add(loss: number): void {
    this.#losses.push(loss);
    this.#draw();
  }

  #draw(): void {
    const top = Math.max(2.5, ...this.#losses);
    const x = (step: number) => left + ((width - left - 8) * step) / this.#total;
    const y = (loss: number) => 8 + (height - bottom - 8) * (1 - loss / top);
    const points = this.#losses.map((loss, step) => `${x(step + 1).toFixed(1)},${y(loss).toFixed(1)}`);
    this.#host.innerHTML = [
      `<svg viewBox="0 0 ${width} ${height}" aria-hidden="true">`,
      ...[0, 1, 2].map(
        (loss) =>
          `<line x1="${left}" x2="${width - 8}" y1="${y(loss)}" y2="${y(loss)}"/>` +
          `<text x="${left - 8}" y="${y(loss) + 4}" text-anchor="end">${loss}</text>`,
      ),
      `<text x="${width - 8}" y="${height - 4}" text-anchor="end">${this.#total > 1 ? this.#total : ""}</text>`,
      `<polyline points="${points.join(" ")}"/></svg>`,
    ].join("");
  }
}
