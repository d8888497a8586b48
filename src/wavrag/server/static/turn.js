// View of one turn: question, answer, and its sources.

import { answerElements } from "./answer_text.js";
import { errorContents, showError } from "./alerts.js";
import { h, icon, isPlayable, locationOf, plural, reorder } from "./dom.js";
import { describe, origin, originalLink } from "./files.js";
import { Player } from "./player.js";
import { openDocument } from "./reader.js";
import { markSpoken, wordElements } from "./words.js";

const CLOSEST = 2; // passages to show without an answer

const nameOf = (passage) => [passage.title, locationOf(passage)].filter(Boolean).join(", ");

/** The text shown if there is no answer. */
function noAnswerText(answer, isEmpty) {
  if (isEmpty) return ["Your library is empty. ", h("a", { href: "#library" }, "Add files"), ", then ask again."];
  if (answer.hits.length || answer.abstention) return ["Your files do not answer this question. Rephrase it, or add a file about it."];
  return ["Nothing was found. Rephrase the question, or search everything."];
}

export class TurnView {
  constructor({ spoken, question = "" }) {
    this.spoken = spoken;
    this.cards = new Map(); // passage id to list item
    this.text = "";
    this.state = "";
    this.question = h("h2", { class: "question" });
    this.label = h("p", { class: "hits-label" });
    this.answer = h("div", { class: "answer" });
    this.list = h("ol", { class: "sources", "aria-label": "Results" });
    this.more = h("button", { type: "button", class: "quiet more", hidden: true, onclick: () => this.#showMore() });
    this.latency = h("p");
    this.timing = h("details", { class: "timing", hidden: true },
      h("summary", { "aria-label": "Timing", title: "Timing" }, icon("info")), this.latency);
    this.element = h("article", { class: `turn ${spoken ? "spoken" : "typed"}` },
      this.question, this.answer, this.label, this.list, h("div", { class: "turn-foot" }, this.more, this.timing));
    this.setQuestion(question, !spoken);
    this.#setState(spoken ? "listening" : "searching");
  }

  /** Shows the question; `isFinal` is false while it is still being recognised. */
  setQuestion(text, isFinal) {
    this.questionText = text ?? "";
    this.question.classList.toggle("tentative", !isFinal);
    this.question.replaceChildren(text || (isFinal ? "Spoken question" : "Listening…"));
    if (this.spoken) this.question.prepend(icon("mic"));
  }

  /** Shows passages, best first; cards are reused by passage id. */
  setHits(hits, isPartial) {
    this.hits = hits;
    this.label.textContent = hits.length ? (isPartial ? "Results so far" : "Results") : isPartial ? "" : "No results";
    reorder(this.list, hits.map((hit) => this.#card(hit)));
    if (this.state !== "done") this.#setState(isPartial ? "listening" : "answering");
  }

  /**
   * Tells which words were searched, with a button that searches for the typed or heard words
   * alone.
   */
  setSuggestion(text, onReject) {
    this.element.querySelector(".suggestion")?.remove();
    this.question.after(h("p", { class: "suggestion" }, "Did you mean: ", h("strong", {}, text), " ",
      h("button", { type: "button", class: "quiet", onclick: onReject }, this.spoken ? "Search for the words as heard" : "Search only for my spelling")));
  }

  append(text) {
    this.text += text;
    this.#setText(this.text, new Map());
  }

  /** Shows the complete answer: citation marks become buttons, cited passages come first. */
  finish(answer, isEmpty) {
    this.setQuestion(answer.question || this.questionText, true);
    const cited = new Map();
    for (const citation of answer.citations) if (!cited.has(citation.number)) cited.set(citation.number, citation);
    if (answer.found) this.#setText(answer.answer, cited, answer.short_span);
    else {
      this.unanswered = true;
      this.answer.replaceChildren(h("p", { class: "notice" }, ...noAnswerText(answer, isEmpty)));
    }
    const sources = [...cited.values()].map((citation) => ({ ...citation, quotes: answer.citations.filter(({ number }) => number === citation.number) }));
    const ids = new Set(sources.map((citation) => citation.id));
    const others = (this.hits ?? answer.hits).filter((hit) => !ids.has(hit.id));
    const cards = sources.map((citation) => this.#card(citation));
    for (const hit of others) cards.push(this.#card(hit));
    const shown = sources.length || CLOSEST;
    cards.forEach((card, i) => card.classList.toggle("folded", i >= shown));
    reorder(this.list, cards);
    this.label.textContent = sources.length ? plural(sources.length, "source") : others.length ? "Closest passages" : "";
    this.more.hidden = cards.length <= shown;
    this.more.textContent = `Show ${plural(cards.length - shown, "more passage")}`;
    this.#setState("done");
    this.#showOrigins();
  }

  /** Ends the turn, keeping the text so far. */
  stop() {
    if (this.state === "done") return;
    this.answer.append(h("p", { class: "notice" }, "Stopped."));
    this.#setState("done");
  }

  /** Shows an error; `retry` asks again. */
  fail(message, retry) {
    this.answer.append(h("div", { class: "failed", role: "alert" }, ...errorContents(message, retry)));
    this.#setState("done");
  }

  /** Shows the latency in milliseconds. */
  setLatency({ hits, word, waited, mode }) {
    if (this.unanswered) word = undefined; // the shown text is not from the model
    const phrases = [];
    const since = mode === "typed" ? "after you asked" : "after you stopped speaking";
    if (hits !== undefined && this.hits?.length) phrases.push(`Results ${Math.round(hits)} ms ${since}`);
    if (word !== undefined) phrases.push(`first word ${Math.round(word)} ms`);
    if (phrases.length && waited > 1) {
      const reason = mode === "hands-free" ? "detecting the pause" : "until you released the button";
      phrases.push(`includes ${Math.round(waited)} ms ${reason}`);
    }
    this.latency.textContent = phrases.join(" · ");
    this.timing.hidden = !phrases.length;
  }

  #setState(state) {
    this.state = state;
    this.element.dataset.state = state;
    this.element.setAttribute("aria-busy", String(state !== "done"));
  }

  #showMore() {
    for (const card of this.list.children) card.classList.remove("folded");
    const first = [...this.list.children].find((card) => !card.dataset.number);
    this.more.hidden = true;
    first?.querySelector("button").focus();
  }

  #setText(text, cited, span) {
    this.answer.replaceChildren(...answerElements(text, (number) => this.#citeButton(number, cited), span));
  }

  #citeButton(number, cited) {
    const citation = cited.get(number);
    if (!citation) return h("span", { class: "cite", "aria-hidden": "true" }, String(number));
    const verb = isPlayable(citation) ? "play" : "open";
    return h("button", {
      type: "button",
      class: "cite",
      "aria-label": `Source ${number}: ${verb} ${nameOf(citation)}`,
      title: `${nameOf(citation)}`,
      onclick: () => this.show(citation.id),
    }, String(number));
  }

  #card(hit) {
    let card = this.cards.get(hit.id);
    if (!card) {
      const isAudio = isPlayable(hit);
      card = h("li", {},
        h("button", { type: "button", class: "card", onclick: () => this.show(hit.id) },
          h("span", { class: "badge" }),
          h("span", { class: "card-head" },
            h("span", { class: "title" }, hit.title),
            h("span", { class: "location" }, locationOf(hit))),
          h("span", { class: "snippet" })));
      card.dataset.id = hit.id;
      card.querySelector(".badge").append(icon(isAudio ? "wave" : "page"));
      this.cards.set(hit.id, card);
    }
    card.passage = hit;
    if (hit.rank) {  // a citation has no rank, and keeps the similar hits of its card
      card.querySelector(":scope > .similar")?.remove();
      if (hit.similar?.length) card.append(this.#similar(hit.similar));
    }
    const quote = [...new Set(hit.quotes?.map(({ quote }) => quote))].filter(Boolean).join(" … ");
    const timed = hit.quotes?.filter(({ quote_words: words }) => words?.length);
    if (timed?.length) card.querySelector(".snippet").replaceChildren(...timed.flatMap(({ quote_words: words }, i) => [i ? " … " : "", ...wordElements(words)]));
    else card.querySelector(".snippet").textContent = quote || hit.text || "Audio without transcript";
    card.querySelector(".location").textContent = locationOf(hit);
    if (hit.number) {
      card.dataset.number = String(hit.number);
      card.querySelector(".badge").replaceChildren(String(hit.number));
    }
    const verb = isPlayable(hit) ? "Play" : "Open";
    card.querySelector("button").setAttribute("aria-label", `${verb} ${hit.number ? `source ${hit.number}, ` : ""}${nameOf(hit)}: ${quote || hit.text || ""}`);
    return card;
  }

  /** Shows file, folder, date and actions on the cards. */
  async #showOrigins() {
    const passages = [...this.cards.values()].map((card) => card.passage);
    let documents;
    try {
      documents = await describe(passages.map((passage) => passage.document_id));
    } catch {
      return; // the cards are complete without
    }
    for (const card of this.cards.values()) {
      const { passage } = card;
      const document = documents.get(passage.document_id);
      if (!document) continue; // removed in the meantime
      card.total = document.seconds;
      card.querySelector(":scope > .origin")?.remove();
      const actions = h("span", { class: "links" },
        isPlayable(passage) ? h("button", { type: "button", class: "link", "aria-label": `Transcript of ${passage.title}`, onclick: () => openDocument(passage, passage.quotes) }, "Transcript") : null,
        originalLink(document));
      card.querySelector(":scope > .card").after(h("div", { class: "origin" }, origin(document, passage.copies), actions));
    }
  }

  /** Hits that say nearly the same as a card, folded. */
  #similar(hits) {
    const list = h("ol", { class: "sources" }, ...hits.map((hit) => this.#card(hit)));
    return h("details", { class: "similar" }, h("summary", {}, `${hits.length} similar`), list);
  }

  /** Plays a passage below its card, or opens its document with the passage highlighted. */
  show(id) {
    const card = this.cards.get(id);
    const passage = card.passage;
    card.classList.remove("folded");
    if (!isPlayable(passage)) {
      openDocument(passage, passage.quotes);
      return;
    }
    if (!card.player) {
      card.player = new Player(passage, {
        total: card.total,
        onClose: () => {
          card.player = null;
          card.querySelector(".card").focus();
        },
        onTime: (second) => markSpoken(card.querySelector(".snippet"), second),
      });
      card.querySelector(":scope > .card").after(card.player.element);
    }
    card.player.playSpan().catch((error) => showError(error, () => this.show(id)));
    card.scrollIntoView({ block: "nearest" });
  }
}
