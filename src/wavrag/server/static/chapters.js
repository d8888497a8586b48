// The chapters of a recording: a list with times; a click plays from the start of a chapter.

import { clock, h } from "./dom.js";
import { play } from "./transcript.js";

/** Chapters by the sections of a recording's passages. */
function sectionsOf(document) {
  const chapters = [];
  for (const { section, start, end, text } of document.contents) {
    if (start === undefined) continue;
    if (chapters.length && section === chapters.at(-1).title) chapters.at(-1).end = end;
    else chapters.push({ title: section, start, end, text });
  }
  return chapters.some((chapter) => chapter.title) ? chapters : [];
}

/** Shows the chapters of a recording. */
export function showChapters(document, container) {
  container.replaceChildren(h("ol", { class: "chapters" }, ...sectionsOf(document).map((chapter) =>
    h("li", {}, h("button", { type: "button", class: "line", onclick: () => play(chapter.start) },
      h("span", { class: "time" }, clock(Math.floor(chapter.start))),
      h("span", {}, h("strong", {}, chapter.title || "Without a title"), h("span", { class: "snippet" }, chapter.text ?? "")))))));
}

/** True if a recording has chapters. */
showChapters.isUseful = async (document) => sectionsOf(document).length > 1;
