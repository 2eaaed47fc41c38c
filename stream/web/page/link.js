// The WebSocket to the server. It opens again by itself, and a line that has gone silent counts as gone:
// the server sends its figures twice a second, so silence means that nothing comes through.

const FIRST_WAIT_S = 0.3;
const LONGEST_WAIT_S = 5;
const SILENCE_S = 6;
const TRIES_BEFORE_ASKING_WHY = 3;

export class Link {
  #handlers;
  #socket = null;
  #waitS = FIRST_WAIT_S;
  #tries = 0;
  #isRefused = false;
  #timer = 0;
  #heardAt = 0;

  /** ``handlers``: message(object), frame({head, jpegs}), lost({waitS, refused}). */
  constructor(handlers) {
    this.#handlers = handlers;
    setInterval(() => this.#checkSilence(), 1000);
    addEventListener("online", () => this.#tryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#tryNow());
    this.#open();
  }

  /** Send an object as JSON; what is said while the line is down is not said later. */
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => this.#lost(socket);
    this.#socket = socket;
    this.#heardAt = performance.now();
  }

  #receive(data) {
    this.#heardAt = performance.now();
    if (typeof data !== "string") {
      this.#handlers.frame(takeApart(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "hello") [this.#waitS, this.#tries, this.#isRefused] = [FIRST_WAIT_S, 0, false];
    this.#handlers.message(message);
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    const waitS = this.#waitS * (0.8 + 0.4 * Math.random()); // many viewers of one server come back apart
    this.#socket = null;
    this.#tries += 1;
    this.#waitS = Math.min(LONGEST_WAIT_S, this.#waitS * 1.8);
    this.#timer = setTimeout(() => this.#open(), waitS * 1000);
    this.#handlers.lost({ waitS, refused: this.#isRefused });
    if (this.#tries >= TRIES_BEFORE_ASKING_WHY) this.#askWhy(waitS); // each time: it may be another server by now
  }

  /** A browser does not tell why a WebSocket was refused, but it tells of a page: 401 means another token. */
  async #askWhy(waitS) {
    const wasRefused = this.#isRefused;
    try {
      const { status } = await fetch("/page.css", { method: "HEAD", cache: "no-store" });
      this.#isRefused = status === 401 || status === 403;
    } catch {
      this.#isRefused = false; // the server is not there
    }
    const isStillLost = this.#tries > 0;
    if (isStillLost && this.#isRefused !== wasRefused) this.#handlers.lost({ waitS, refused: this.#isRefused });
  }

  #tryNow() {
    if (this.#socket === null) this.#open();
  }

  #checkSilence() {
    const socket = this.#socket;
    if (!socket || performance.now() - this.#heardAt < SILENCE_S * 1000) return;
    this.#lost(socket); // before close(), which would wait for an answer of the other side
    socket.close();
  }
}

/** A binary message: u32 little endian n, n bytes of JSON, the JPEGs back to back. */
export function takeApart(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const jpegs = new Map();
  let at = 4 + length;
  for (const { name, bytes } of head.parts) {
    jpegs.set(name, new Blob([new Uint8Array(buffer, at, bytes)], { type: "image/jpeg" }));
    at += bytes;
  }
  return { head, jpegs };
}
