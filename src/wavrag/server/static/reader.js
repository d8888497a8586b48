// The dialog with a document, opened at a highlighted passage.

import { documentPath, json } from "./api.js";
import { $, clock, h, locationOf, prefersReducedMotion } from "./dom.js";
import { setUpTranscript, showTranscript, stopTranscript } from "./transcript.js";

let onError = () => {};
let current = null; // the document shown

/** Sets up the dialog; `handleError` is called with errors, `askDocument` with the document. */
export function setUpReader(handleError, askDocument) {
  onError = handleError;
  $("reader-ask").onclick = () => {
    $("reader").close();
    askDocument(current);
  };
  $("reader-close").onclick = () => $("reader").close();
  $("reader").addEventListener("click", (event) => event.target === $("reader") && $("reader").close());
  $("reader").addEventListener("close", stopTranscript);
  setUpTranscript(handleError);
}

/** Opens the document of a passage, or a document, and highlights the passage and its quotes. */
export async function openDocument(passage, quotes = []) {
  try {
    const id = passage.document_id ?? passage.id;
    const document = await json(`${documentPath(id)}/text`);
    current = document;
    $("reader-title").textContent = document.title;
    $("reader-location").textContent = passage.document_id === passage.id ? "" : locationOf(passage);
    stopTranscript();
    if (!$("reader").open) $("reader").showModal();
    if (document.modality === "audio") showTranscript(document);
    else $("reader-text").replaceChildren(...highlightedText(document, passage, quotes));
    $("reader-title").focus();
    const mark = $("reader-text").querySelector("mark");
    if (mark) mark.scrollIntoView({ block: "center", behavior: prefersReducedMotion() ? "auto" : "smooth" });
    else $("reader-text").scrollTop = 0;
  } catch (error) {
    onError(error);
  }
}

/** Builds paragraphs of a text with the passage and its quotes highlighted. */
function highlightedText(document, passage, quotes) {
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
  for (const { section: heading, char_start: start } of document.contents) {
    if (heading && heading !== section) headings.set(start, heading);
    section = heading;
  }
  const edges = new Set([0, document.text.length, ...headings.keys()]);
  for (const { from, to } of spans) edges.add(from).add(to);
  for (const gap of document.text.matchAll(/\n\s*\n/g)) edges.add(gap.index + gap[0].length);
  const offsets = [...edges].sort((a, b) => a - b);
  const blocks = [];
  let block = null;
  offsets.slice(0, -1).forEach((from, i) => {
    const text = document.text.slice(from, offsets[i + 1]);
    if (headings.has(from)) {
      blocks.push(h("h3", {}, headings.get(from)));
      block = null;
    }
    const classes = spans.filter((span) => span.from <= from && from < span.to).map((span) => span.tag);
    const isBlockEnd = i === offsets.length - 2 || headings.has(offsets[i + 1]) || /\n\s*\n\s*$/.test(text);
    if (text.trim() || (block && !isBlockEnd)) {
      if (!block) blocks.push((block = h("p")));
      const words = isBlockEnd ? text.trimEnd() : text;
      block.append(classes.length ? h("mark", { class: classes.includes("quote") ? "quote" : "" }, words) : words);
    }
    if (isBlockEnd) block = null;
  });
  return blocks;
}
