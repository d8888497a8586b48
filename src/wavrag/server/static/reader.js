// A document, opened at a passage that is marked.

import { documentPath, json } from "./api.js";
import { $, clock, h, locationOf, wantsStill } from "./dom.js";
import { Player } from "./player.js";

let player = null;
let onError = () => {};
let shown = null; // the document

/** `tell` is told errors, and `ask` the document that is to be asked in. */
export function prepareReader(tell, ask) {
  onError = tell;
  $("reader-ask").onclick = () => {
    $("reader").close();
    ask(shown);
  };
  $("reader-close").onclick = () => $("reader").close();
  $("reader").addEventListener("click", (event) => event.target === $("reader") && $("reader").close());
  $("reader").addEventListener("close", () => {
    player?.close();
    player = null;
  });
}

/** Opens the document of a passage, or of a document, and marks the passage and what is quoted. */
export async function read(passage, quotes = []) {
  try {
    const id = passage.document_id ?? passage.id;
    const document = await json(`${documentPath(id)}/text`);
    shown = document;
    $("reader-title").textContent = document.title;
    $("reader-place").textContent = passage.document_id === passage.id ? "" : locationOf(passage);
    const audio = document.modality === "audio";
    $("reader-text").replaceChildren(...(audio ? recording(document) : marked(document, passage, quotes)));
    if (!$("reader").open) $("reader").showModal();
    $("reader-title").focus();
    const mark = $("reader-text").querySelector("mark");
    if (mark) mark.scrollIntoView({ block: "center", behavior: wantsStill() ? "auto" : "smooth" });
    else $("reader-text").scrollTop = 0;
  } catch (error) {
    onError(error);
  }
}

/** Paragraphs of a text, in which a passage is marked, and in it what is quoted. */
function marked(document, passage, quotes) {
  const spans = [];
  if (passage.char_start !== undefined) {
    spans.push({ from: passage.char_start, to: passage.char_end, tag: "passage" });
    for (const { quote } of quotes ?? []) {
      const at = quote ? document.text.indexOf(quote, passage.char_start) : -1;
      if (at >= 0 && at < passage.char_end) spans.push({ from: at, to: at + quote.length, tag: "quote" });
    }
  }
  const headings = new Map();
  let section = null;
  for (const one of document.contents) {
    if (one.section && one.section !== section) headings.set(one.char_start, one.section);
    section = one.section;
  }
  const edges = new Set([0, document.text.length, ...headings.keys()]);
  for (const { from, to } of spans) edges.add(from).add(to);
  for (const gap of document.text.matchAll(/\n\s*\n/g)) edges.add(gap.index + gap[0].length);
  const places = [...edges].sort((a, b) => a - b);
  const blocks = [];
  let block = null;
  places.slice(0, -1).forEach((from, at) => {
    const text = document.text.slice(from, places[at + 1]);
    if (headings.has(from)) {
      blocks.push(h("h3", {}, headings.get(from)));
      block = null;
    }
    const inside = spans.filter((span) => span.from <= from && from < span.to).map((span) => span.tag);
    const ends = at === places.length - 2 || headings.has(places[at + 1]) || /\n\s*\n\s*$/.test(text);
    if (text.trim() || (block && !ends)) {
      if (!block) blocks.push((block = h("p")));
      const words = ends ? text.trimEnd() : text;
      block.append(inside.length ? h("mark", { class: inside.includes("quote") ? "quote" : "" }, words) : words);
    }
    if (ends) block = null;
  });
  return blocks;
}

/** What is said in a recording, piece by piece; each plays. */
function recording(document) {
  return document.contents.map((passage) =>
    h("button", {
      type: "button",
      class: "line",
      "aria-label": `Play from ${clock(Math.round(passage.start))}: ${passage.text ?? "sound without words"}`,
      onclick: (event) => {
        player?.close();
        player = new Player(passage);
        $("reader-player").replaceChildren(player.element);
        for (const line of $("reader-text").children) line.classList.toggle("playing", line === event.currentTarget);
        player.playSpan().catch(onError);
      },
    }, h("span", { class: "time" }, clock(Math.round(passage.start))), h("span", {}, passage.text || "Sound without words")));
}
