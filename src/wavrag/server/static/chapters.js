// Summary and chapters of a recording, with times; a click plays from there.

import { errorContents } from "./alerts.js";
import { documentPath, json } from "./api.js";
import { clock, h } from "./dom.js";
import { play } from "./transcript.js";

const summaries = new WeakMap(); // by the document that is open
let request = null; // AbortController: a generator may take minutes

/** Cancels the request of a summary that is no longer shown. */
export function cancelChapters() {
  request?.abort();
  request = null;
}

/** Shows the summary and the chapters of a recording. */
export async function showChapters(document, container) {
  if (!summaries.has(document)) {
    request = new AbortController();
    const { signal } = request;
    container.replaceChildren(h("p", { class: "notice working", role: "status" }, "Summarising …"));
    try {
      summaries.set(document, await json(`${documentPath(document.id)}/summary`, { signal }));
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return;
      container.replaceChildren(h("div", { class: "failed" }, ...errorContents(error.message, () => showChapters(document, container))));
      return;
    }
    if (signal.aborted) return;
  }
  const { sentences, chapters, generator } = summaries.get(document);
  container.replaceChildren(
    ...(sentences.length ? [h("h3", {}, "Summary"), h("ul", { class: "summary" }, ...sentences.map((sentence) => h("li", {}, line(sentence, text(sentence)))))] : []),
    ...(chapters.length ? [h("h3", {}, "Chapters"), h("ol", { class: "chapters" }, ...chapters.map((chapter) => h("li", {}, line(chapter,
      h("strong", {}, chapter.title), h("span", {}, ...chapter.sentences.flatMap((sentence) => [text(sentence), " "]))))))] : []),
    h("p", { class: "notice" }, !chapters.length ? "There is no speech to summarise." : generator ? `Written by ${generator} from the transcript.` : "Quoted from the transcript."));
}

/** A button that plays from the start of a sentence or chapter. */
const line = ({ start, title, text: words }, ...contents) => h("button", {
  type: "button", class: "line", "aria-label": `Play from ${clock(Math.floor(start))}: ${title ?? words}`, onclick: () => play(start),
}, h("span", { class: "time" }, clock(Math.floor(start))), h("span", {}, ...contents));

const text = (sentence) => sentence.supported
  ? sentence.text
  : h("span", { class: "unsure", title: "The transcript does not confirm this sentence" }, sentence.text);
