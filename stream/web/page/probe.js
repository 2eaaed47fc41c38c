// Depth under the pointer, the finger or the arrow keys. One question is under way at a time; while the point stays,
// each new image is asked again. A mouse that leaves takes the point along, a finger and the keys leave it there.

import { imageBox } from "./screen.js";
import { depth as depthWords, meaning } from "./words.js";

const STEP = 0.02;
const ANSWER_MS = 1000;
const ASIDE_PX = 14; // of the words from the point, unless they would stand out of the image
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Probe {
  #canvas;
  #mark;
  #label;
  #ask;
  #seq = null;
  #point = null;
  #askedAt = null;
  #asksAgain = false;

  /** ``ask({seq, x, y})`` sends a question; ``stage`` holds the canvas, .mark and .probe. */
  constructor(stage, ask) {
    this.#canvas = stage.querySelector(".screen");
    this.#mark = stage.querySelector(".mark");
    this.#label = stage.querySelector(".probe");
    this.#ask = ask;
    const canvas = this.#canvas;
    canvas.addEventListener("pointermove", (event) => this.#follow(event));
    canvas.addEventListener("pointerdown", (event) => this.#follow(event));
    canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.#move(null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#place()).observe(canvas);
  }

  /** Frame ``seq`` is on the screen. */
  drawn(seq) {
    this.#seq = seq;
    this.#question();
  }

  answered(answer) {
    this.#askedAt = null;
    if (!this.#point) return;
    const label = this.#label;
    label.textContent = answer.depth == null ? answer.words || "not known here" : answer.words || plainly(answer);
    Object.assign(label.dataset, { seq: answer.seq, depth: answer.depth ?? "", x: answer.x, y: answer.y });
    this.#place();
    if (this.#asksAgain) this.#question();
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
      this.#move({ x: clamp(x + dx * STEP), y: clamp(y + dy * STEP) });
      event.preventDefault(); // the page must not scroll meanwhile
    }
  }

  #move(point) {
    this.#point = point;
    if (point) this.#question();
    else this.#label.textContent = "";
    this.#place();
  }

  #question() {
    if (!this.#point || this.#seq === null) return;
    const now = performance.now();
    this.#asksAgain = this.#askedAt !== null && now - this.#askedAt < ANSWER_MS;
    if (this.#asksAgain) return;
    this.#askedAt = now;
    this.#ask({ seq: this.#seq, ...this.#point });
  }

  #place() {
    this.#mark.hidden = !this.#point;
    this.#label.hidden = !this.#point || !this.#label.textContent;
    if (!this.#point) return;
    const { x, y } = this.#point;
    const box = imageBox(this.#canvas);
    const [left, top] = [this.#canvas.offsetLeft + box.left + x * box.width, this.#canvas.offsetTop + box.top + y * box.height];
    const leftmost = Math.max(0, Math.min(left + ASIDE_PX, this.#canvas.clientWidth - this.#label.offsetWidth));
    [this.#mark.style.left, this.#mark.style.top] = [`${left}px`, `${top}px`];
    [this.#label.style.left, this.#label.style.top] = [`${leftmost}px`, `${top}px`];
    this.#label.classList.toggle("below", y * box.height < 56);
  }
}

function plainly({ depth, unit, kind }) {
  return [depthWords(depth, unit), meaning(kind)].filter(Boolean).join(", ");
}

function clamp(value) {
  return Math.min(1, Math.max(0, value));
}
