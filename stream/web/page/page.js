// The page: one link to the server, a tile for each camera.

import { keepArranged } from "./arrange.js";
import { Controls } from "./controls.js";
import { Link } from "./link.js";
import { Tile } from "./tile.js";
import { takeImages } from "./upload.js";

const find = (selector) => document.querySelector(selector);
const tiles = new Map();
const grid = find("#cameras");
const arrange = keepArranged(grid);
const link = new Link({ message: receive, frame: ({ head, jpegs }) => tiles.get(head.camera)?.frame({ head, jpegs }), lost });
const controls = new Controls((message) => link.send(message));
let watched = "";

takeImages(find("#images"));
document.addEventListener("visibilitychange", watch);
for (const button of document.querySelectorAll("[data-all]"))
  button.addEventListener("click", () => tiles.forEach((tile) => tile.show(button.dataset.all)));

function receive(message) {
  if (message.type === "hello") welcome(message);
  else if (message.type === "stats") message.cameras.forEach((figures) => tiles.get(figures.name)?.figures(figures));
  else if (message.type === "probe") tiles.get(message.camera)?.probed(message);
  else if (message.type === "controls") controls.update(message);
  else if (message.type === "error") say(`The server did not understand this page: ${message.message}`);
}

/** Each connection begins with it: the server may be another one than before. */
function welcome(hello) {
  say("");
  document.body.dataset.link = "up";
  find("#version").textContent = hello.version ?? "";
  controls.offer(hello.colormaps);
  controls.update(hello);
  for (const [name, tile] of tiles) if (!hello.cameras.includes(name)) remove(name, tile);
  for (const name of hello.cameras) if (!tiles.has(name)) add(name);
  find("#empty").hidden = hello.cameras.length > 0;
  find("#shared").hidden = hello.cameras.length === 0;
  find("#images").hidden = !hello.images;
  arrange();
  watched = "";
  watch();
}

function add(name) {
  const tile = new Tile(name, { send: (message) => link.send(message), changed: watch });
  tiles.set(name, tile);
  grid.append(tile.element);
}

function remove(name, tile) {
  tiles.delete(name);
  tile.element.remove();
}

/** Tell the server what this page wants to see, if that has changed. */
function watch() {
  const cameras = Object.fromEntries([...tiles].map(([name, tile]) => [name, tile.wants]));
  const message = JSON.stringify(cameras);
  if (message === watched || tiles.size === 0) return;
  watched = message;
  link.send({ type: "watch", cameras });
}

function lost({ waitS, refused }) {
  document.body.dataset.link = "lost";
  say(
    refused
      ? "The server wants a token: open the address that it printed when it started."
      : `No connection to the server; trying again ${waitS < 1 ? "now" : `in ${Math.round(waitS)} s`}.`,
  );
}

function say(text) {
  find("#notice").textContent = text;
  find("#notice").hidden = !text;
}
