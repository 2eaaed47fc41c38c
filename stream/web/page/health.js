// State of a camera: the line under its image, the list behind it, and the card over a camera that is offline.

import { count, duration, milliseconds } from "./format.js";

const STALE_S = 3;
const EXPECTED_DROP = "superseded"; // a newer image came first, which is how a live pipeline keeps up
const NEEDS_IMAGE = ".tools .choice, .mix, .freeze";
const JITTER_MS = 1500; // the server's statistics arrive with a varying delay, which must not move the time shown

export class Health {
  #tile;
  #offlineAt = null;
  #hasDrawn = false;
  #drawnAt = null;

  /** ``tile`` is the camera's element. */
  constructor(tile) {
    this.#tile = tile;
  }

  /** Record that an image was drawn. */
  drawn() {
    this.#hasDrawn = true;
    this.#drawnAt = performance.now();
  }

  /** Show the server's ``statistics`` and this page's own {fps, ageMs}; ``isWatching`` if images should arrive. */
  update(statistics, onPage, isWatching) {
    const { state } = statistics;
    this.#tile.dataset.state = state;
    for (const tool of this.#tile.querySelectorAll(NEEDS_IMAGE)) tool.inert = state !== "live";
    this.#line(statistics, onPage);
    this.#list(statistics, onPage);
    this.#card(statistics);
    this.#stale(state === "live" && isWatching);
  }

  #line(statistics, onPage) {
    this.#set(".state", statistics.state);
    const lost = total(statistics.dropped);
    const parts = [
      `${(statistics.fps ?? 0).toFixed(1)} fps`,
      `age ${milliseconds(onPage.ageMs ?? statistics.age_p50_ms)}`,
      ...(lost ? [`${count(lost)} lost`] : []),
      ...(["fair", "poor"].includes(statistics.grade) ? [`last hour: ${statistics.grade}`] : []),
    ];
    this.#set(".line", parts.join(" · "));
  }

  #list(statistics, onPage) {
    const dropped = Object.entries(statistics.dropped ?? {}).filter(([, number]) => number);
    const rows = [
      ["state", `${statistics.state} for ${duration(statistics.since_s ?? 0)}`],
      ...(statistics.offline_s ? [["offline", `for ${duration(statistics.offline_s)}`]] : []),
      ["grade of the last hour", statistics.grade ?? "unknown"],
      ["captured", count(statistics.captured)],
      ["published", count(statistics.published)],
      ...(dropped.length ? dropped.map(([reason, number]) => [`dropped: ${reason}`, count(number)]) : [["dropped", "none"]]),
      ["age when published", `p50 ${milliseconds(statistics.age_p50_ms)}, p95 ${milliseconds(statistics.age_p95_ms)}`],
      ["drawn on this page", `${onPage.fps.toFixed(1)} fps, age ${milliseconds(onPage.ageMs)}`],
      ...(statistics.clock ? [["clock", statistics.clock]] : []),
      ...(statistics.trouble ? [["last trouble", statistics.trouble]] : []),
    ];
    const list = this.#tile.querySelector(".statistics");
    list.replaceChildren(...rows.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  }

  #card({ state, offline_s = 0, trouble }) {
    const isOffline = state !== "live";
    this.#tile.querySelector(".card").hidden = !isOffline;
    if (!isOffline) return;
    const at = Date.now() - offline_s * 1000;
    if (Math.abs(at - this.#offlineAt) > JITTER_MS) this.#offlineAt = at;
    const since = new Date(this.#offlineAt).toLocaleTimeString();
    this.#set(".title", title(state, this.#hasDrawn, trouble));
    this.#set(".reason", trouble || (state === "over" ? "the input has ended" : ""));
    const isFirstTry = state === "connecting" && !trouble;
    this.#set(".since", isFirstTry ? `for ${duration(offline_s)}` : `since ${since}, ${duration(offline_s)}`);
  }

  #stale(isExpected) {
    const badge = this.#tile.querySelector(".stale");
    const quietS = this.#drawnAt === null ? 0 : (performance.now() - this.#drawnAt) / 1000;
    badge.hidden = !isExpected || quietS < STALE_S;
    badge.textContent = `no image for ${duration(quietS)}`;
  }

  /** Write the text only when it changes, because a screen reader speaks every write. */
  #set(selector, text) {
    const target = this.#tile.querySelector(selector);
    if (target.textContent !== text) target.textContent = text;
  }
}

function title(state, hasDrawn, trouble) {
  if (state === "refused") return "OFFLINE: access refused";
  if (state === "over" && !trouble) return "ENDED";
  return state === "connecting" && !hasDrawn && !trouble ? "CONNECTING" : "OFFLINE";
}

/** Frames that were lost; frames superseded by a newer one are only in the list. */
function total(dropped) {
  const reasons = Object.entries(dropped ?? {}).filter(([reason]) => !reason.startsWith(EXPECTED_DROP));
  return reasons.reduce((sum, [, number]) => sum + number, 0);
}

function element(name, text) {
  const created = document.createElement(name);
  created.textContent = text;
  return created;
}
