// How old images were when they were drawn, over the last minute.

import { milliseconds } from "./words.js";

const SPAN_MS = 60_000;
const FLOOR_MS = 50;
const SCALE_PX = 10;
const JOINED_SHARE = 1 / 60; // columns a second apart belong together

/**
 * Capture to screen, from the age that the server gives at sending and the time that a message took. Two clocks are
 * compared: on one machine they are the same clock; else the fastest message of the last minute counts as having taken
 * no time, so what every message takes is not seen.
 */
export class Ages {
  #transits = [];
  #sameClock = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

  /** Milliseconds from capture until now. */
  measure({ unix_ms, age_ms }) {
    const now = performance.now();
    const transit = performance.timeOrigin + now - (unix_ms + age_ms);
    if (this.#sameClock) return age_ms + Math.max(0, transit);
    // Rising values only: the first one is the least of all that are young enough.
    while (this.#transits.length && this.#transits.at(-1).transit >= transit) this.#transits.pop();
    this.#transits.push({ now, transit });
    while (this.#transits[0].now < now - SPAN_MS) this.#transits.shift();
    return age_ms + transit - this.#transits[0].transit;
  }
}

export class Graph {
  #canvas;
  #points = [];

  constructor(canvas) {
    this.#canvas = canvas;
  }

  add(ageMs) {
    const now = performance.now();
    this.#points.push({ now, ageMs });
    if (this.#points[0].now < now - SPAN_MS - 5000) this.#points = this.#points.filter((p) => p.now >= now - SPAN_MS);
  }

  /** Of the last ``seconds``: how many were drawn a second, and the middle of their ages (ms; null if none). */
  recent(seconds) {
    const from = performance.now() - seconds * 1000;
    const ages = this.#points.filter((p) => p.now >= from).map((p) => p.ageMs).sort((a, b) => a - b);
    return { fps: ages.length / seconds, ageMs: ages.length ? ages[ages.length >> 1] : null };
  }

  /** Draw it anew, and say it in words for those who do not see it. */
  draw() {
    const canvas = this.#canvas;
    const ratio = Math.min(3, devicePixelRatio || 1);
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const columns = this.#columns(width);
    const top = niceAbove(Math.max(FLOOR_MS, ...columns.map((column) => column?.most ?? 0)));
    context.clearRect(0, 0, width, height);
    const y = (ms) => height - ratio - (ms / top) * (height - 2 * ratio);
    const { color, fontFamily } = getComputedStyle(canvas);
    drawColumns(context, columns, y, ratio, color);
    if (columns.some(Boolean)) drawScale(context, milliseconds(top), `${SCALE_PX * ratio}px ${fontFamily}`, ratio);
    canvas.title = `age of images when drawn, last minute; upper edge ${top} ms`;
    canvas.setAttribute("aria-label", `${canvas.title}; now ${Math.round(this.recent(3).ageMs ?? 0)} ms`);
  }

  #columns(width) {
    const columns = new Array(width).fill(null);
    const from = performance.now() - SPAN_MS;
    for (const { now, ageMs } of this.#points) {
      const x = Math.min(width - 1, Math.floor(((now - from) / SPAN_MS) * width));
      if (x < 0) continue;
      const column = (columns[x] ??= { least: ageMs, most: ageMs });
      column.least = Math.min(column.least, ageMs);
      column.most = Math.max(column.most, ageMs);
    }
    return columns;
  }
}

/** Each column: its least to greatest age, and a shade below; it reaches to the next one if that is near. */
function drawColumns(context, columns, y, ratio, color) {
  const { height } = context.canvas;
  const farthest = columns.length * JOINED_SHARE;
  context.fillStyle = color;
  for (let x = columns.length - 1, next = columns.length; x >= 0; x -= 1) {
    const column = columns[x];
    if (!column) continue; // a gap: no images came
    const width = next - x <= farthest ? next - x : 2 * ratio;
    next = x;
    context.globalAlpha = 1;
    context.fillRect(x, y(column.most), width, Math.max(1.5 * ratio, y(column.least) - y(column.most)));
    context.globalAlpha = 0.25;
    context.fillRect(x, y(column.most), width, height);
  }
}

/** What the upper edge means, over what may be drawn there. */
function drawScale(context, text, font, ratio) {
  Object.assign(context, { font, textBaseline: "top", fillStyle: "#0d1117", globalAlpha: 0.7 });
  context.fillRect(0, 0, context.measureText(text).width + 6 * ratio, (SCALE_PX + 4) * ratio);
  Object.assign(context, { fillStyle: "#9aa6b2", globalAlpha: 1 });
  context.fillText(text, 3 * ratio, 2 * ratio);
}

function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
