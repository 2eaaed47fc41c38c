// One camera on the page: its canvas, probe, controls and state.

import { Ages, Graph } from "./graph.js";
import { Health } from "./health.js";
import { Probe } from "./probe.js";
import { Screen } from "./screen.js";
import { meaning, rangeEnds } from "./format.js";

const GUESSED = "the metres are a guess: the camera's focal length is not known, or the network does not use it";

export class Tile {
  element = document.querySelector("#tile").content.firstElementChild.cloneNode(true);
  name;
  mode = "both";
  #isFrozen = false;
  #isOnScreen = false;
  #changed;
  #send;
  #screen;
  #probe;
  #health = new Health(this.element);
  #graph;
  #ages = new Ages();
  #ending = new AbortController();
  #observer = new IntersectionObserver((entries) => this.#scrolled(entries.at(-1).isIntersecting));

  /** ``send(message)`` sends to the server; ``changed()`` is called when ``wanted`` may have another value. */
  constructor(name, { send, changed }) {
    this.name = name;
    [this.#send, this.#changed] = [send, changed];
    this.element.dataset.camera = name;
    this.element.setAttribute("aria-label", `camera ${name}`);
    this.#find("h2").textContent = name;
    this.#find(".screen").setAttribute("aria-label", `${name}: the arrow keys move the point whose depth is shown`);
    this.#screen = new Screen(this.#find(".screen"), (header, wasDrawn) => this.#done(header, wasDrawn));
    this.#probe = new Probe(this.#find(".stage"), (point) => send({ type: "probe", camera: name, ...point }));
    this.#graph = new Graph(this.#find(".graph"));
    this.#connectTools();
    this.show(this.mode);
    this.#observer.observe(this.element);
  }

  /** Take the tile off the page; without this, the document would keep it for ever. */
  remove() {
    this.#ending.abort();
    this.#observer.disconnect();
    this.element.remove();
  }

  /** The images that the server should send: "both", "image", "depth" or "none". */
  get wanted() {
    return this.#isFrozen || !this.#isOnScreen || document.hidden ? "none" : this.mode;
  }

  /** Show "image", "depth" or "both". */
  show(mode) {
    this.mode = mode;
    for (const button of this.element.querySelectorAll("[data-mode]"))
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    this.#find(".mix").disabled = mode !== "both";
    this.#changed();
  }

  frame(frame) {
    this.#screen.offer(frame);
  }

  probeReply(reply) {
    this.#probe.showReply(reply);
  }

  statistics(statistics) {
    this.#health.update(statistics, this.#graph.recent(3), this.wanted !== "none");
    this.#graph.draw();
  }

  #done(header, wasDrawn) {
    this.#send({ type: "shown", camera: this.name, seq: header.seq });
    if (!wasDrawn) return;
    const ageMs = this.#ages.measure(header);
    this.#graph.add(ageMs);
    this.#health.drawn();
    Object.assign(this.element.dataset, { seq: header.seq, age: ageMs.toFixed(1) });
    this.#describe(header);
    this.#probe.drawn(header.seq);
  }

  #describe(header) {
    const [first, last] = rangeEnds(header);
    this.#write(".first", first);
    this.#write(".last", last);
    this.#find(".first").title = `first colour: ${header.low}`;
    this.#find(".last").title = `last colour: ${header.high}`;
    this.#badge(".random", header.weights === "random");
    this.#badge(".guessed", header.scale_guessed, GUESSED);
    this.#badge(".relative", header.kind !== "metric", meaning(header.kind));
    this.#badge(".integrity", header.integrity !== "clean");
    this.#write(".integrity", `image ${header.integrity}`);
    this.#write(".size", `${header.width}×${header.height}`);
    this.#write(".model", header.model);
  }

  #badge(selector, isShown, title = "") {
    const badge = this.#find(selector);
    badge.hidden = !isShown;
    if (title && badge.title !== title) badge.title = title;
  }

  #connectTools() {
    for (const button of this.element.querySelectorAll("[data-mode]"))
      button.addEventListener("click", () => this.show(button.dataset.mode));
    const mix = this.#find(".mix");
    mix.addEventListener("input", () => (this.#screen.mix = mix.valueAsNumber / 100));
    this.#find(".freeze").addEventListener("click", () => this.#freeze(!this.#isFrozen));
    this.#find(".fill").addEventListener("click", () => this.#fill());
    const { signal } = this.#ending;
    document.addEventListener("fullscreenchange", () => this.#filled(document.fullscreenElement === this.element), { signal });
    this.element.addEventListener("keydown", ({ key }) => key === "Escape" && this.#filled(false));
  }

  #freeze(isFrozen) {
    this.#isFrozen = this.#screen.isFrozen = isFrozen;
    this.element.classList.toggle("is-frozen", isFrozen);
    this.#find(".freeze").setAttribute("aria-pressed", String(isFrozen));
    for (const button of this.element.querySelectorAll("[data-mode]")) button.disabled = isFrozen;
    this.#changed();
  }

  /** Toggle full screen; in browsers without it for elements (iPhones), the tile fills the window. */
  #fill() {
    const isFilling = this.element.classList.contains("fills");
    if (document.fullscreenElement) document.exitFullscreen();
    else if (isFilling || !this.element.requestFullscreen) this.#filled(!isFilling);
    else this.element.requestFullscreen().catch(() => this.#filled(true));
  }

  #filled(isFilling) {
    this.element.classList.toggle("fills", isFilling);
    this.#find(".fill").setAttribute("aria-pressed", String(isFilling));
  }

  #scrolled(isOnScreen) {
    if (this.#isOnScreen === isOnScreen) return;
    this.#isOnScreen = isOnScreen;
    this.#changed();
  }

  #write(selector, text) {
    const target = this.#find(selector);
    if (target.textContent !== text) target.textContent = text;
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}
