// The dialog with a document: its text with the passage highlighted, or a recording with its views.

import { hideErrors, showError } from "./alerts.js";
import { documentPath, json } from "./api.js";
import { cancelChapters, showChapters } from "./chapters.js";
import { $, h, locationOf, prefersReducedMotion } from "./dom.js";
import { origin, originalLink } from "./files.js";
import { showSpeakers } from "./speakers.js";
import { openRecording, setUpTranscript, showTranscript, stopTranscript } from "./transcript.js";

const VIEWS = { transcript: showTranscript, chapters: showChapters, speakers: showSpeakers };

let current = null; // the document shown

/** Sets up the dialog; `askDocument` is called with the document to limit questions to. */
export function setUpReader(askDocument) {
  $("reader-ask").onclick = () => {
    $("reader").close();
    askDocument(current);
  };
  $("reader-close").onclick = () => $("reader").close();
  $("reader").addEventListener("click", (event) => event.target === $("reader") && $("reader").close());
  $("reader").addEventListener("close", () => {
    cancelChapters();
    stopTranscript();
    hideErrors();
  });
  for (const tab of tabs()) {
    tab.onclick = () => select(tab);
    tab.onkeydown = (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const all = tabs().filter((other) => !other.hidden);
      const next = all[(all.indexOf(tab) + step + all.length) % all.length];
      next.focus();
      select(next);
    };
  }
  setUpTranscript();
}

const tabs = () => [...$("reader-tabs").querySelectorAll("[role=tab]")];

function select(tab) {
  for (const other of tabs()) {
    other.setAttribute("aria-selected", String(other === tab));
    other.tabIndex = other === tab ? 0 : -1;
  }
  $("reader-text").setAttribute("aria-labelledby", tab.id);
  $("reader-search").hidden = tab.dataset.view !== "transcript";
  cancelChapters();
  VIEWS[tab.dataset.view](current, $("reader-text"));
}

/** Opens the document of a passage, or a document, and highlights the passage and its quotes. */
export async function openDocument(passage, quotes = []) {
  try {
    const id = passage.document_id ?? passage.id;
    const document = await json(`${documentPath(id)}/text`);
    current = document;
    const isPassage = passage.text !== undefined || passage.start !== undefined || passage.char_start !== undefined;
    $("reader-title").textContent = document.title;
    const location = isPassage ? locationOf(passage) : "";
    const facts = [location && h("strong", {}, location), origin(document, document.copies), originalLink(document)];
    $("reader-origin").replaceChildren(...facts.filter(Boolean));
    stopTranscript();
    hideErrors();
    if (!$("reader").open) $("reader").showModal();
    const isRecording = document.contents.some((content) => content.start !== undefined);
    $("reader-tabs").hidden = true;
    if (isRecording) {
      openRecording(document, isPassage ? { ...passage, quotes } : null);
      $("tab-speakers").hidden = !document.contents.some((content) => content.speaker);
      $("reader-tabs").hidden = false;
      select($("tab-transcript"));
    } else {
      $("reader-search").hidden = true;
      $("reader-text").setAttribute("aria-labelledby", "reader-title");
      $("reader-text").replaceChildren(...highlightedText(document, passage, quotes));
    }
    $("reader-title").focus();
    const mark = $("reader-text").querySelector("mark.quote, mark, .line.cited");
    if (mark) mark.scrollIntoView({ block: "center", behavior: prefersReducedMotion() ? "auto" : "smooth" });
    else $("reader-text").scrollTop = 0;
  } catch (error) {
    showError(error, () => openDocument(passage, quotes));
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
