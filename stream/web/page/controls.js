// Colour map and depth range. The pipeline paints each image once, so a change is for all viewers.

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

  /** Fill the list of colour maps. */
  offer(colormaps) {
    this.#colormap.replaceChildren(...colormaps.map((name) => new Option(name, name)));
  }

  /** Show the values in force; another viewer may have changed them. */
  update({ colormap, range }) {
    if (colormap) [this.#colormap.value, document.documentElement.dataset.colormap] = [colormap, colormap];
    if (range) this.#hold.setAttribute("aria-pressed", String(range === "hold"));
  }
}
