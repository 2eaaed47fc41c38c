// An image of one's own: dropped, pasted or chosen, it goes to the image service, and its depth comes back.

import { depth, meaning, milliseconds } from "./words.js";

const DOWNLOADS = {
  color: { words: "colour PNG", ending: "-depth-color.png" },
  png16: { words: "16-bit PNG", ending: "-depth.png" },
  npy: { words: "NumPy array", ending: "-depth.npy" },
};

let newest = 0; // of several images in a row only the last one is shown

/** Make ``section`` (the page's #images) work; an image may be dropped anywhere on the page. */
export function takeImages(section) {
  const chosen = section.querySelector("input[type=file]");
  chosen.addEventListener("change", () => {
    if (chosen.files[0]) show(section, chosen.files[0]);
    chosen.value = ""; // so that the same image may be chosen again
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    section.classList.add("is-over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && section.classList.remove("is-over"));
  addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser would leave this page and open the image
    section.classList.remove("is-over");
    if (event.dataTransfer.files[0]) show(section, event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => event.clipboardData.files[0] && show(section, event.clipboardData.files[0]));
}

async function show(section, file) {
  const mine = (newest += 1);
  const isOld = () => mine !== newest;
  section.setAttribute("aria-busy", "true");
  say(section, `${file.name}: working …`);
  try {
    const facts = await (await ask(file, "json")).json();
    const image = await (await ask(file, "color")).blob();
    if (isOld()) return;
    present(section, file, facts, image);
    say(section, `${file.name}: done.`);
  } catch (error) {
    if (!isOld()) say(section, `${file.name}: ${error.message}`, true);
  } finally {
    if (!isOld()) section.removeAttribute("aria-busy");
  }
}

/** The answer to POST /api/depth; an Error in words when there is none. */
async function ask(file, output) {
  const colormap = document.documentElement.dataset.colormap;
  const query = new URLSearchParams({ output, ...(output === "color" && colormap ? { colormap } : {}) });
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  let answer;
  try {
    answer = await fetch(`/api/depth?${query}`, { method: "POST", body: file, headers });
  } catch {
    throw new Error("the server cannot be reached");
  }
  if (!answer.ok) throw new Error(await whyNot(answer));
  return answer;
}

async function whyNot(answer) {
  if (answer.status === 404) return "this server takes no images";
  if (answer.status === 429) {
    const wait = answer.headers.get("Retry-After");
    return `the server has too much to do${wait ? `; try again in ${wait} s` : ""}`;
  }
  const text = await answer.text();
  try {
    const { error, message, detail } = JSON.parse(text);
    return error ?? message ?? detail ?? text;
  } catch {
    return text.trim() || `the server answered ${answer.status}`;
  }
}

function present(section, file, facts, image) {
  const result = section.querySelector(".result");
  for (const old of result.querySelectorAll("[src^='blob:'], [href^='blob:']")) URL.revokeObjectURL(old.src ?? old.href);
  const given = result.querySelector(".given");
  given.hidden = false;
  given.onerror = () => (given.hidden = true); // TIFF: no browser shows it
  given.src = URL.createObjectURL(file);
  result.querySelector(".heat").src = URL.createObjectURL(image);
  result.querySelector(".random").hidden = facts.weights !== "random";
  result.querySelector(".guessed").hidden = !facts.scale_guessed;
  result.querySelector(".facts").replaceChildren(...rows(facts));
  const links = Object.keys(DOWNLOADS).map((output) => download(section, file, output));
  result.querySelector(".downloads").replaceChildren(...links);
  result.hidden = false;
}

function rows(facts) {
  const words = (value) => depth(value, facts.unit);
  const named = {
    depth: meaning(facts.kind) || (facts.scale_guessed ? "metres (a guess)" : "metres"),
    "least, middle, most": [facts.min, facts.median, facts.max].map(words).join(", "),
    known: `${(100 * (facts.known ?? 1)).toFixed(1)} %`,
    size: `${facts.width}×${facts.height}`,
    model: facts.model,
    computed: `in ${milliseconds(facts.ms)}`,
  };
  return Object.entries(named).flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
}

/** A link that fetches its file when it is followed: the service answers POST only. */
function download(section, file, output) {
  const { words, ending } = DOWNLOADS[output];
  const link = element("a", words);
  const name = `${file.name.replace(/\.[^.]*$/, "")}${ending}`;
  Object.assign(link, { href: "#images", download: name });
  link.addEventListener("click", async (event) => {
    if (link.href.startsWith("blob:")) return;
    event.preventDefault();
    try {
      link.href = URL.createObjectURL(await (await ask(file, output)).blob());
      link.click();
    } catch (error) {
      say(section, `${name}: ${error.message}`, true);
    }
  });
  return link;
}

function say(section, text, isError = false) {
  const place = section.querySelector(".said");
  place.textContent = text;
  place.classList.toggle("is-error", isError);
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text ?? "–";
  return made;
}
