// One camera on the page.

import { Ages, Graph } from "./graph.js";
import { Health } from "./health.js";
import { Probe } from "./probe.js";
import { Screen } from "./screen.js";
import { meaning, rangeEnds } from "./words.js";

const GUESSED = "metres by a guess: the camera's focal length is not known, or the network does not heed it";

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

  /** ``send(message)`` goes to the server; ``changed()`` says that ``wants`` has another value. */
  constructor(name, { send, changed }) {
    this.name = name;
    [this.#send, this.#changed] = [send, changed];
    this.element.dataset.camera = name;
    this.element.setAttribute("aria-label", `camera ${name}`);
    this.#find("h2").textContent = name;
    this.#find(".screen").setAttribute("aria-label", `${name}: the arrow keys move the point whose depth is shown`);
    this.#screen = new Screen(this.#find(".screen"), (head, wasDrawn) => this.#done(head, wasDrawn));
    this.#probe = new Probe(this.#find(".stage"), (at) => send({ type: "probe", camera: name, ...at }));
    this.#graph = new Graph(this.#find(".graph"));
    this.#connectTools();
    this.show(this.mode);
    new IntersectionObserver((entries) => this.#scrolled(entries.at(-1).isIntersecting)).observe(this.element);
  }

  /** What the server shall send of this camera: "both", "image", "depth" or "none". */
  get wants() {
    return this.#isFrozen || !this.#isOnScreen || document.hidden ? "none" : this.mode;
  }

  /** Show the "image", the "depth" or "both". */
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

  probed(answer) {
    this.#probe.answered(answer);
  }

  figures(figures) {
    this.#health.update(figures, this.#graph.recent(3), this.wants !== "none");
    this.#graph.draw();
  }

  #done(head, wasDrawn) {
    this.#send({ type: "shown", camera: this.name, seq: head.seq });
    if (!wasDrawn) return;
    const ageMs = this.#ages.measure(head);
    this.#graph.add(ageMs);
    this.#health.drawn();
    Object.assign(this.element.dataset, { seq: head.seq, age: ageMs.toFixed(1) });
    this.#describe(head);
    this.#probe.drawn(head.seq);
  }

  #describe(head) {
    const [first, last] = rangeEnds(head);
    this.#write(".first", first);
    this.#write(".last", last);
    this.#find(".first").title = `first colour: ${head.low}`;
    this.#find(".last").title = `last colour: ${head.high}`;
    this.#badge(".random", head.weights === "random");
    this.#badge(".guessed", head.scale_guessed, GUESSED);
    this.#badge(".relative", head.kind !== "metric", meaning(head.kind));
    this.#badge(".integrity", head.integrity !== "clean");
    this.#write(".integrity", `image ${head.integrity}`);
    this.#write(".size", `${head.width}×${head.height}`);
    this.#write(".model", head.model);
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
    document.addEventListener("fullscreenchange", () => this.#filled(document.fullscreenElement === this.element));
    this.element.addEventListener("keydown", ({ key }) => key === "Escape" && this.#filled(false));
  }

  #freeze(isFrozen) {
    this.#isFrozen = this.#screen.isHeld = isFrozen;
    this.element.classList.toggle("is-frozen", isFrozen);
    this.#find(".freeze").setAttribute("aria-pressed", String(isFrozen));
    for (const button of this.element.querySelectorAll("[data-mode]")) button.disabled = isFrozen;
    this.#changed();
  }

  /** Full screen; where a browser has none for elements (iPhones), the tile fills the window. */
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
    const place = this.#find(selector);
    if (place.textContent !== text) place.textContent = text;
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}
