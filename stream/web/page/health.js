// How a camera is: the line under its image, the list behind it, and the card in place of a camera that is out.

import { count, duration, milliseconds } from "./words.js";

const STALE_S = 3;
const NORMAL = "superseded"; // a newer image came first: how a live pipeline keeps up
const NEEDS_IMAGE = ".tools .choice, .mix, .freeze";
const SAME_MS = 1500; // the server's figures take their time to come, sometimes more, sometimes less

export class Health {
  #tile;
  #offlineAt = null;
  #hadImage = false;
  #drawnAt = null;

  /** ``tile`` is the camera's element. */
  constructor(tile) {
    this.#tile = tile;
  }

  /** An image was drawn. */
  drawn() {
    this.#hadImage = true;
    this.#drawnAt = performance.now();
  }

  /** ``figures`` are the server's; ``here`` is what this page sees: {fps, ageMs}; ``watching``: images should come. */
  update(figures, here, watching) {
    const { state } = figures;
    this.#tile.dataset.state = state;
    for (const tool of this.#tile.querySelectorAll(NEEDS_IMAGE)) tool.inert = state !== "live";
    this.#line(figures, here);
    this.#list(figures, here);
    this.#card(figures);
    this.#stale(state === "live" && watching);
  }

  #line(figures, here) {
    this.#set(".word", figures.state);
    const lost = total(figures.dropped);
    const parts = [
      `${(figures.fps ?? 0).toFixed(1)} fps`,
      `age ${milliseconds(here.ageMs ?? figures.age_p50_ms)}`,
      ...(lost ? [`${count(lost)} lost`] : []),
      ...(["fair", "poor"].includes(figures.grade) ? [`last hour: ${figures.grade}`] : []),
    ];
    this.#set(".line", parts.join(" · "));
  }

  #list(figures, here) {
    const dropped = Object.entries(figures.dropped ?? {}).filter(([, number]) => number);
    const rows = [
      ["state", `${figures.state} for ${duration(figures.since_s ?? 0)}`],
      ...(figures.offline_s ? [["offline", `for ${duration(figures.offline_s)}`]] : []),
      ["grade of the last hour", figures.grade ?? "unknown"],
      ["captured", count(figures.captured)],
      ["published", count(figures.published)],
      ...(dropped.length ? dropped.map(([why, number]) => [`dropped: ${why}`, count(number)]) : [["dropped", "none"]]),
      ["age when published", `p50 ${milliseconds(figures.age_p50_ms)}, p95 ${milliseconds(figures.age_p95_ms)}`],
      ["drawn on this page", `${here.fps.toFixed(1)} fps, age ${milliseconds(here.ageMs)}`],
      ...(figures.trouble ? [["last trouble", figures.trouble]] : []),
    ];
    const list = this.#tile.querySelector(".figures");
    list.replaceChildren(...rows.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  }

  #card({ state, offline_s = 0, trouble }) {
    const isOffline = state !== "live";
    this.#tile.querySelector(".card").hidden = !isOffline;
    if (!isOffline) return;
    const at = Date.now() - offline_s * 1000;
    if (Math.abs(at - this.#offlineAt) > SAME_MS) this.#offlineAt = at;
    const since = new Date(this.#offlineAt).toLocaleTimeString();
    this.#set(".title", title(state, this.#hadImage, trouble));
    this.#set(".why", trouble || (state === "over" ? "it has come to its end" : ""));
    const isFirstTry = state === "connecting" && !trouble;
    this.#set(".since", isFirstTry ? `for ${duration(offline_s)}` : `since ${since}, ${duration(offline_s)}`);
  }

  #stale(shouldCome) {
    const badge = this.#tile.querySelector(".stale");
    const quietS = this.#drawnAt === null ? 0 : (performance.now() - this.#drawnAt) / 1000;
    badge.hidden = !shouldCome || quietS < STALE_S;
    badge.textContent = `no image for ${duration(quietS)}`;
  }

  /** Text is written only when it changes: a screen reader speaks what was written. */
  #set(selector, text) {
    const place = this.#tile.querySelector(selector);
    if (place.textContent !== text) place.textContent = text;
  }
}

function title(state, hadImage, trouble) {
  if (state === "refused") return "OFFLINE: access refused";
  if (state === "over" && !trouble) return "ENDED";
  return state === "connecting" && !hadImage && !trouble ? "CONNECTING" : "OFFLINE";
}

/** All that came to nothing; what gave way to a newer image is in the list only. */
function total(dropped) {
  const reasons = Object.entries(dropped ?? {}).filter(([why]) => !why.startsWith(NORMAL));
  return reasons.reduce((sum, [, number]) => sum + number, 0);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
