// Depth under the pointer, the finger or the arrow keys. One request is in flight at a time; while the point stays,
// the depth is requested again for each new image. The point disappears when a mouse leaves, but not with a finger or
// the keys.

import { imageBox } from "./screen.js";
import { depth as depthText, meaning } from "./format.js";

const KEY_STEP = 0.02; // of the image's width or height
const REPLY_TIMEOUT_MS = 1000; // then the request counts as lost, as across a reconnection
const LABEL_OFFSET_PX = 14; // from the point, less where the label would leave the image
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Probe {
  #canvas;
  #marker;
  #label;
  #request;
  #seq = null;
  #point = null;
  #requestedAt = null;
  #isOutdated = false; // the point or the image has changed since the request in flight

  /** ``request({seq, x, y})`` sends a probe request; ``stage`` contains the canvas, .marker and .probe. */
  constructor(stage, request) {
    this.#canvas = stage.querySelector(".screen");
    this.#marker = stage.querySelector(".marker");
    this.#label = stage.querySelector(".probe");
    this.#request = request;
    const canvas = this.#canvas;
    canvas.addEventListener("pointermove", (event) => this.#follow(event));
    canvas.addEventListener("pointerdown", (event) => this.#follow(event));
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.#move(null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#place()).observe(canvas);
  }

  /** Frame ``seq`` has been drawn. */
  drawn(seq) {
    this.#seq = seq;
    this.#update();
  }

  showReply(reply) {
    this.#requestedAt = null;
    if (!this.#point) return;
    const label = this.#label;
    label.textContent = reply.depth == null ? reply.text || "not known here" : reply.text || describe(reply);
    Object.assign(label.dataset, { seq: reply.seq, depth: reply.depth ?? "", x: reply.x, y: reply.y });
    this.#place();
    if (this.#isOutdated) this.#update();
  }

  #follow(event) {
    const box = imageBox(this.#canvas);
    const x = (event.offsetX - box.left) / box.width;
    const y = (event.offsetY - box.top) / box.height;
    this.#move(x >= 0 && x <= 1 && y >= 0 && y <= 1 ? { x, y } : null);
  }

  #key(event) {
    if (event.key === "Escape" && this.#point) this.#move(null);
    else if (event.key in KEYS) {
      const [dx, dy] = KEYS[event.key];
      const { x, y } = this.#point ?? { x: 0.5, y: 0.5 };
      this.#move({ x: clamp(x + dx * KEY_STEP), y: clamp(y + dy * KEY_STEP) });
      event.preventDefault(); // else the page scrolls
    }
  }

  #move(point) {
    this.#point = point;
    if (point) this.#update();
    else this.#label.textContent = "";
    this.#place();
  }

  #update() {
    if (!this.#point || this.#seq === null) return;
    const now = performance.now();
    this.#isOutdated = this.#requestedAt !== null && now - this.#requestedAt < REPLY_TIMEOUT_MS;
    if (this.#isOutdated) return;
    this.#requestedAt = now;
    this.#request({ seq: this.#seq, ...this.#point });
  }

  #place() {
    this.#marker.hidden = !this.#point;
    this.#label.hidden = !this.#point || !this.#label.textContent;
    if (!this.#point) return;
    const { x, y } = this.#point;
    const box = imageBox(this.#canvas);
    const [left, top] = [this.#canvas.offsetLeft + box.left + x * box.width, this.#canvas.offsetTop + box.top + y * box.height];
    const leftmost = Math.max(0, Math.min(left + LABEL_OFFSET_PX, this.#canvas.clientWidth - this.#label.offsetWidth));
    [this.#marker.style.left, this.#marker.style.top] = [`${left}px`, `${top}px`];
    [this.#label.style.left, this.#label.style.top] = [`${leftmost}px`, `${top}px`];
    this.#label.classList.toggle("below", y * box.height < 56);
  }
}

function describe({ depth, unit, kind }) {
  return [depthText(depth, unit), meaning(kind)].filter(Boolean).join(", ");
}

function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
