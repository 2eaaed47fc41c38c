// The WebSocket to the server. It reconnects by itself, also when the connection has gone silent:
// the server sends statistics twice a second, so silence means that nothing gets through.

const FIRST_WAIT_S = 0.3;
const LONGEST_WAIT_S = 5;
const SILENCE_S = 6;
const TRIES_BEFORE_DIAGNOSIS = 3;

export class Link {
  #handlers;
  #socket = null;
  #waitS = FIRST_WAIT_S;
  #tries = 0;
  #isRefused = false;
  #timer = 0;
  #receivedAt = 0;

  /** ``handlers``: message(object), frame({header, jpegs}), lost({waitS, refused}). */
  constructor(handlers) {
    this.#handlers = handlers;
    setInterval(() => this.#checkSilence(), 1000);
    addEventListener("online", () => this.#tryNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#tryNow());
    this.#open();
  }

  /** Send an object as JSON; messages are dropped while there is no connection. */
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
    this.#receivedAt = performance.now();
  }

  #receive(data) {
    this.#receivedAt = performance.now();
    if (typeof data !== "string") {
      this.#handlers.frame(unpack(data));
      return;
    }
    const message = JSON.parse(data);
    if (message.type === "hello") [this.#waitS, this.#tries, this.#isRefused] = [FIRST_WAIT_S, 0, false];
    this.#handlers.message(message);
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    const waitS = this.#waitS * (0.8 + 0.4 * Math.random()); // spreads the reconnections of many viewers
    this.#socket = null;
    this.#tries += 1;
    this.#waitS = Math.min(LONGEST_WAIT_S, this.#waitS * 1.8);
    this.#timer = setTimeout(() => this.#open(), waitS * 1000);
    this.#handlers.lost({ waitS, refused: this.#isRefused });
    if (this.#tries >= TRIES_BEFORE_DIAGNOSIS) this.#diagnose(waitS); // every time, because the server may have been replaced
  }

  /** Browsers hide the status of a refused WebSocket, but not that of a file: 401 means that the token is wrong. */
  async #diagnose(waitS) {
    const wasRefused = this.#isRefused;
    try {
      const { status } = await fetch("/page.css", { method: "HEAD", cache: "no-store" });
      this.#isRefused = status === 401 || status === 403;
    } catch {
      this.#isRefused = false; // the server cannot be reached
    }
    const isStillLost = this.#tries > 0;
    if (isStillLost && this.#isRefused !== wasRefused) this.#handlers.lost({ waitS, refused: this.#isRefused });
  }

  #tryNow() {
    if (this.#socket === null) this.#open();
  }

  #checkSilence() {
    const socket = this.#socket;
    if (!socket || performance.now() - this.#receivedAt < SILENCE_S * 1000) return;
    this.#lost(socket); // before close(), which waits for the server's closing handshake
    socket.close();
  }
}

/** Unpack a binary message: u32 little endian n, n bytes of JSON, the JPEGs back to back. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const jpegs = new Map();
  let at = 4 + length;
  for (const { name, bytes } of header.parts) {
    jpegs.set(name, new Blob([new Uint8Array(buffer, at, bytes)], { type: "image/jpeg" }));
    at += bytes;
  }
  return { header, jpegs };
}
