// The page: one connection to the server, and a tile for each camera.

import { keepArranged } from "./arrange.js";
import { Controls } from "./controls.js";
import { Link } from "./link.js";
import { Tile } from "./tile.js";
import { acceptImages } from "./upload.js";

const find = (selector) => document.querySelector(selector);
const tiles = new Map();
const grid = find("#cameras");
const arrange = keepArranged(grid);
const link = new Link({ message: receive, frame: (frame) => tiles.get(frame.header.camera)?.frame(frame), lost });
const controls = new Controls((message) => link.send(message));
let watched = ""; // the last "watch" message, to send it only when it changes

acceptImages(find("#images"));
document.addEventListener("visibilitychange", watch);
for (const button of document.querySelectorAll("[data-all]"))
  button.addEventListener("click", () => tiles.forEach((tile) => tile.show(button.dataset.all)));

function receive(message) {
  if (message.type === "hello") welcome(message);
  else if (message.type === "stats") message.cameras.forEach((camera) => tiles.get(camera.name)?.statistics(camera));
  else if (message.type === "probe") tiles.get(message.camera)?.probeReply(message);
  else if (message.type === "controls") controls.update(message);
  else if (message.type === "error") notify(`The server did not understand this page: ${message.message}`);
}

/** Handle the first message of each connection, and those after it: one comes whenever cameras come or go. */
function welcome(hello) {
  notify("");
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
  tile.remove();
}

/** Send the server the images that this page shows, if they have changed. */
function watch() {
  const cameras = Object.fromEntries([...tiles].map(([name, tile]) => [name, tile.wanted]));
  const message = JSON.stringify(cameras);
  if (message === watched || tiles.size === 0) return;
  watched = message;
  link.send({ type: "watch", cameras });
}

function lost({ waitS, refused }) {
  document.body.dataset.link = "lost";
  notify(
    refused
      ? "The server wants a token: open the address that it printed when it started."
      : `No connection to the server; trying again ${waitS < 1 ? "now" : `in ${Math.round(waitS)} s`}.`,
  );
}

function notify(text) {
  find("#notice").textContent = text;
  find("#notice").hidden = !text;
}
