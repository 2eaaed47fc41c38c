// Colours and their range: the pipeline paints once for all, so these are for everybody who watches.

export class Controls {
  #colormap = document.querySelector("#colormap");
  #hold = document.querySelector("#hold");

  constructor(send) {
    this.#colormap.addEventListener("change", () => send({ type: "controls", colormap: this.#colormap.value }));
    this.#hold.addEventListener("click", () => {
      const isHeld = this.#hold.getAttribute("aria-pressed") === "true";
      send({ type: "controls", range: isHeld ? "follow" : "hold" });
    });
  }

  offer(colormaps) {
    this.#colormap.replaceChildren(...colormaps.map((name) => new Option(name, name)));
  }

  /** What is in force now; a viewer elsewhere may have changed it. */
  update({ colormap, range }) {
    if (colormap) [this.#colormap.value, document.documentElement.dataset.colormap] = [colormap, colormap];
    if (range) this.#hold.setAttribute("aria-pressed", String(range === "hold"));
  }
}
