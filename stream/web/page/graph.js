// Age of images when they were drawn, over the last minute: measurement and graph.

import { milliseconds } from "./format.js";

const SPAN_MS = 60_000;
const MIN_SCALE_MS = 50; // the scale never gets finer, so that small ages look small
const LABEL_PX = 10; // font size of the scale's label
const JOIN_FRACTION = 1 / 60; // of the width: columns up to a second apart are joined

/**
 * Age of an image on the screen since capture: the age that the server reports at sending plus the message's transit
 * time. That compares two clocks. On one machine they are the same clock; otherwise the fastest message of the last
 * minute counts as instantaneous, so the transit time that all messages have in common is not measured.
 */
export class Ages {
  #transits = [];
  #sameClock = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

  /** Milliseconds from capture until now. */
  measure({ unix_ms, age_ms }) {
    const now = performance.now();
    const transit = performance.timeOrigin + now - (unix_ms + age_ms);
    if (this.#sameClock) return age_ms + Math.max(0, transit);
    // A queue of rising values (sliding-window minimum): its first value is the smallest of the last minute.
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

  /** {fps, ageMs} over the last ``seconds``: images drawn per second and their median age (null without images). */
  recent(seconds) {
    const from = performance.now() - seconds * 1000;
    const ages = this.#points.filter((p) => p.now >= from).map((p) => p.ageMs).sort((a, b) => a - b);
    return { fps: ages.length / seconds, ageMs: ages.length ? ages[ages.length >> 1] : null };
  }

  /** Redraw, and update the text for screen readers. */
  draw() {
    const canvas = this.#canvas;
    const ratio = Math.min(3, devicePixelRatio || 1);
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const columns = this.#columns(width);
    const top = niceAbove(Math.max(MIN_SCALE_MS, ...columns.map((column) => column?.max ?? 0)));
    context.clearRect(0, 0, width, height);
    const y = (ms) => height - ratio - (ms / top) * (height - 2 * ratio);
    const { color, fontFamily } = getComputedStyle(canvas);
    drawColumns(context, columns, y, ratio, color);
    if (columns.some(Boolean)) drawScale(context, milliseconds(top), `${LABEL_PX * ratio}px ${fontFamily}`, ratio);
    canvas.title = `age of images when drawn, last minute; upper edge ${top} ms`;
    canvas.setAttribute("aria-label", `${canvas.title}; now ${Math.round(this.recent(3).ageMs ?? 0)} ms`);
  }

  #columns(width) {
    const columns = new Array(width).fill(null);
    const from = performance.now() - SPAN_MS;
    for (const { now, ageMs } of this.#points) {
      const x = Math.min(width - 1, Math.floor(((now - from) / SPAN_MS) * width));
      if (x < 0) continue;
      const column = (columns[x] ??= { min: ageMs, max: ageMs });
      column.min = Math.min(column.min, ageMs);
      column.max = Math.max(column.max, ageMs);
    }
    return columns;
  }
}

/** Draw each column from its minimum to its maximum age, with a shade below, as wide as the gap to the next one. */
function drawColumns(context, columns, y, ratio, color) {
  const { height } = context.canvas;
  const maxGap = columns.length * JOIN_FRACTION;
  context.fillStyle = color;
  for (let x = columns.length - 1, next = columns.length; x >= 0; x -= 1) {
    const column = columns[x];
    if (!column) continue; // no images arrived
    const width = next - x <= maxGap ? next - x : 2 * ratio;
    next = x;
    context.globalAlpha = 1;
    context.fillRect(x, y(column.max), width, Math.max(1.5 * ratio, y(column.min) - y(column.max)));
    context.globalAlpha = 0.25;
    context.fillRect(x, y(column.max), width, height);
  }
}

/** Label the upper edge, on top of the graph. */
function drawScale(context, text, font, ratio) {
  Object.assign(context, { font, textBaseline: "top", fillStyle: "#0d1117", globalAlpha: 0.7 });
  context.fillRect(0, 0, context.measureText(text).width + 6 * ratio, (LABEL_PX + 4) * ratio);
  Object.assign(context, { fillStyle: "#9aa6b2", globalAlpha: 1 });
  context.fillText(text, 3 * ratio, 2 * ratio);
}

/** The smallest 1, 2, 5 or 10 times a power of ten that is not below ``value``. */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
