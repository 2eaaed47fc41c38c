// The visitor's own image, dropped, pasted or chosen: sends it to the image service and shows its depth.

import { depth, meaning, milliseconds } from "./format.js";

const DOWNLOADS = {
  color: { label: "colour PNG", suffix: "-depth-color.png" },
  png16: { label: "16-bit PNG", suffix: "-depth.png" },
  npy: { label: "NumPy array", suffix: "-depth.npy" },
};

let newest = 0; // number of the last image; results of earlier ones are discarded

/** Accept images in ``section`` (the page's #images), dropped anywhere on the page, or pasted. */
export function acceptImages(section) {
  const chosen = section.querySelector("input[type=file]");
  chosen.addEventListener("change", () => {
    if (chosen.files[0]) show(section, chosen.files[0]);
    chosen.value = ""; // so that choosing the same file again fires another event
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    section.classList.add("is-over");
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && section.classList.remove("is-over"));
  addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser leaves this page to open the image
    section.classList.remove("is-over");
    if (event.dataTransfer.files[0]) show(section, event.dataTransfer.files[0]);
  });
  addEventListener("paste", (event) => event.clipboardData.files[0] && show(section, event.clipboardData.files[0]));
}

async function show(section, file) {
  const number = (newest += 1);
  const isOutdated = () => number !== newest;
  section.setAttribute("aria-busy", "true");
  report(section, `${file.name}: working …`);
  try {
    const facts = await (await request(file, "json")).json();
    const image = await (await request(file, "color")).blob();
    if (isOutdated()) return;
    present(section, file, facts, image);
    report(section, `${file.name}: done.`);
  } catch (error) {
    if (!isOutdated()) report(section, `${file.name}: ${error.message}`, true);
  } finally {
    if (!isOutdated()) section.removeAttribute("aria-busy");
  }
}

/** The response of POST /api/depth. Throws an Error with a readable message for any failure. */
async function request(file, output) {
  const colormap = document.documentElement.dataset.colormap;
  const query = new URLSearchParams({ output, ...(output === "color" && colormap ? { colormap } : {}) });
  const headers = { "Content-Type": file.type || "application/octet-stream" };
  let response;
  try {
    response = await fetch(`/api/depth?${query}`, { method: "POST", body: file, headers });
  } catch {
    throw new Error("the server cannot be reached");
  }
  if (!response.ok) throw new Error(await errorMessage(response));
  return response;
}

async function errorMessage(response) {
  if (response.status === 404) return "this server does not accept images";
  if (response.status === 429) {
    const wait = response.headers.get("Retry-After");
    return `the server is busy${wait ? `; try again in ${wait} s` : ""}`;
  }
  const text = await response.text();
  try {
    const { error, message, detail } = JSON.parse(text);
    return error ?? message ?? detail ?? text;
  } catch {
    return text.trim() || `the server answered ${response.status}`;
  }
}

function present(section, file, facts, image) {
  const result = section.querySelector(".result");
  for (const old of result.querySelectorAll("[src^='blob:'], [href^='blob:']")) URL.revokeObjectURL(old.src ?? old.href);
  const input = result.querySelector(".input");
  input.hidden = false;
  input.onerror = () => (input.hidden = true); // most browsers cannot show a TIFF
  input.src = URL.createObjectURL(file);
  result.querySelector(".heatmap").src = URL.createObjectURL(image);
  result.querySelector(".random").hidden = facts.weights !== "random";
  result.querySelector(".guessed").hidden = !facts.scale_guessed;
  result.querySelector(".facts").replaceChildren(...rows(facts));
  const links = Object.keys(DOWNLOADS).map((output) => download(section, file, output));
  result.querySelector(".downloads").replaceChildren(...links);
  result.hidden = false;
}

function rows(facts) {
  const text = (value) => depth(value, facts.unit);
  const values = {
    depth: meaning(facts.kind) || (facts.scale_guessed ? "metres (a guess)" : "metres"),
    "minimum, median, maximum": [facts.min, facts.median, facts.max].map(text).join(", "),
    "pixels with depth": `${(100 * (facts.known ?? 1)).toFixed(1)} %`,
    size: `${facts.width}×${facts.height}`,
    model: facts.model,
    computed: `in ${milliseconds(facts.ms)}`,
  };
  return Object.entries(values).flatMap(([name, value]) => [element("dt", name), element("dd", value)]);
}

/** A link that fetches its file when it is followed, because the service accepts only POST. */
function download(section, file, output) {
  const { label, suffix } = DOWNLOADS[output];
  const link = element("a", label);
  const name = `${file.name.replace(/\.[^.]*$/, "")}${suffix}`;
  Object.assign(link, { href: "#images", download: name });
  link.addEventListener("click", async (event) => {
    if (link.href.startsWith("blob:")) return;
    event.preventDefault();
    try {
      link.href = URL.createObjectURL(await (await request(file, output)).blob());
      link.click();
    } catch (error) {
      report(section, `${name}: ${error.message}`, true);
    }
  });
  return link;
}

function report(section, text, isError = false) {
  const target = section.querySelector(".message");
  target.textContent = text;
  target.classList.toggle("is-error", isError);
}

function element(name, text) {
  const created = document.createElement(name);
  created.textContent = text ?? "–";
  return created;
}
