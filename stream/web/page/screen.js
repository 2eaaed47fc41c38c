// A camera's canvas: decodes the newest frame, draws image and depth over each other, and reports that it was drawn.
// Frames never pile up: one is being decoded, one waits, and a newer one replaces the one that waits.

export class Screen {
  #canvas;
  #done;
  #waiting = null;
  #busy = false;
  #bitmaps = new Map();
  #mix = 0.5;

  /** While true, the canvas keeps its image and frames are skipped. */
  isFrozen = false;

  /** ``done(header, wasDrawn)`` is called when this frame, and so every one before it, is drawn or skipped. */
  constructor(canvas, done) {
    this.#canvas = canvas;
    this.#done = done;
  }

  /** Opacity of the depth over the image, 0 to 1, when both are shown. */
  set mix(value) {
    this.#mix = value;
    this.#paint();
  }

  offer(frame) {
    this.#waiting = frame;
    if (!this.#busy) this.#work();
  }

  async #work() {
    this.#busy = true;
    while (this.#waiting) {
      const { header, jpegs } = this.#waiting;
      this.#waiting = null;
      this.#done(header, await this.#show(header, jpegs));
    }
    this.#busy = false;
  }

  async #show(header, jpegs) {
    const decoding = [...jpegs].map(async ([name, jpeg]) => [name, await createImageBitmap(jpeg)]);
    const decoded = await Promise.allSettled(decoding);
    const bitmaps = new Map(decoded.filter(({ status }) => status === "fulfilled").map(({ value }) => value));
    if (bitmaps.size === 0 || this.isFrozen) return false; // frozen, or all JPEGs are damaged
    for (const old of this.#bitmaps.values()) old.close();
    this.#bitmaps = bitmaps;
    this.#fit(header.width, header.height);
    this.#paint();
    return true;
  }

  #fit(width, height) {
    if (this.#canvas.width === width && this.#canvas.height === height) return;
    [this.#canvas.width, this.#canvas.height] = [width, height];
  }

  #paint() {
    const { width, height } = this.#canvas;
    const context = this.#canvas.getContext("2d", { alpha: false });
    const [image, depth] = [this.#bitmaps.get("image"), this.#bitmaps.get("depth")];
    context.globalAlpha = 1;
    if (image) context.drawImage(image, 0, 0, width, height);
    if (image && depth) context.globalAlpha = this.#mix;
    if (depth) context.drawImage(depth, 0, 0, width, height);
  }
}

/** The rectangle in which a canvas with ``object-fit: contain`` shows its image, in CSS pixels of its box. */
export function imageBox(canvas) {
  const { clientWidth, clientHeight, width, height } = canvas;
  const scale = Math.min(clientWidth / width, clientHeight / height);
  const [w, h] = [width * scale, height * scale];
  return { left: (clientWidth - w) / 2, top: (clientHeight - h) / 2, width: w, height: h };
}
