// One question of the conversation: what was heard, what was found, the answer, its sources.

import { h, icon, locationOf, plural, reorder } from "./dom.js";
import { Player } from "./player.js";
import { read } from "./reader.js";

const MARK = /\[(\d+)\]/g;

const named = (passage) => [passage.title, locationOf(passage)].filter(Boolean).join(", ");

/** What to do when there is no answer. */
function nothing(answer, isEmpty) {
  if (isEmpty) return ["Your library is empty. ", h("a", { href: "#library" }, "Add files"), ", then ask again."];
  if (answer.hits.length || answer.abstention) return ["Your files do not answer this. Try other words, or add a file about it."];
  return ["Nothing was found. Try other words, or ask in everything."];
}

export class TurnView {
  constructor({ spoken, question = "" }) {
    this.spoken = spoken;
    this.cards = new Map(); // passage id to list item
    this.text = "";
    this.state = "";
    this.question = h("h2", { class: "question" });
    this.label = h("p", { class: "found-label" });
    this.answer = h("div", { class: "answer" });
    this.list = h("ol", { class: "sources", "aria-label": "Passages found" });
    this.more = h("button", { type: "button", class: "quiet more", hidden: true, onclick: () => this.#unfold() });
    this.latency = h("p", { class: "latency" });
    this.element = h("article", { class: `turn ${spoken ? "spoken" : "typed"}` },
      this.question, this.answer, this.label, this.list, this.more, this.latency);
    this.setQuestion(question, !spoken);
    this.#be(spoken ? "listening" : "searching");
  }

  /** The question in words as far as they are known. */
  setQuestion(words, final) {
    this.words = words ?? "";
    this.question.classList.toggle("tentative", !final);
    this.question.replaceChildren(words || (final ? "Spoken question" : "Listening…"));
    if (this.spoken) this.question.prepend(icon("mic"));
  }

  /** Passages, best first; they take their places by id. */
  setHits(hits, partial) {
    this.hits = hits;
    this.label.textContent = hits.length ? (partial ? "Found so far" : "Found") : partial ? "" : "Nothing found";
    reorder(this.list, hits.map((hit) => this.#card(hit)));
    if (this.state !== "done") this.#be(partial ? "listening" : "answering");
  }

  append(text) {
    this.text += text;
    this.#write(this.text, new Map());
  }

  /** The whole answer: marks become buttons, cited passages come first. */
  finish(answer, isEmpty) {
    this.setQuestion(answer.question || this.words, true);
    const cited = new Map();
    for (const citation of answer.citations) if (!cited.has(citation.number)) cited.set(citation.number, citation);
    if (answer.found) this.#write(answer.answer, cited);
    else {
      this.unanswered = true;
      this.answer.replaceChildren(h("p", { class: "nothing" }, ...nothing(answer, isEmpty)));
    }
    const first = [...cited.values()].map((citation) => ({ ...citation, quotes: answer.citations.filter((one) => one.number === citation.number) }));
    const ids = new Set(first.map((citation) => citation.id));
    const rest = (this.hits ?? answer.hits).filter((hit) => !ids.has(hit.id));
    const cards = first.map((citation) => this.#card(citation));
    for (const hit of rest) cards.push(this.#card(hit));
    cards.forEach((card, at) => card.classList.toggle("folded", at >= first.length));
    reorder(this.list, cards);
    this.label.textContent = first.length ? plural(first.length, "source") : rest.length ? "Closest passages" : "";
    this.more.hidden = !rest.length;
    this.more.textContent = first.length ? `Show ${plural(rest.length, "more passage")}` : `Show ${plural(rest.length, "passage")}`;
    this.#be("done");
  }

  /** What was written so far stays; nothing more comes. */
  stopped() {
    if (this.state === "done") return;
    this.answer.append(h("p", { class: "nothing" }, "Stopped."));
    this.#be("done");
  }

  fail(message) {
    this.answer.append(h("p", { class: "failed" }, message));
    this.#be("done");
  }

  /** Milliseconds that the listener waited. */
  setLatency({ hits, word, waited, mode }) {
    if (this.unanswered) word = undefined; // there is none
    const parts = [];
    const since = mode === "typed" ? "after you asked" : "after your last sound";
    if (hits !== undefined && this.hits?.length) parts.push(`Passages ${Math.round(hits)} ms ${since}`);
    if (word !== undefined) parts.push(`first word ${Math.round(word)} ms`);
    if (parts.length && waited > 1) {
      const why = mode === "hands-free" ? "waiting for silence" : "before you let go";
      parts.push(`${Math.round(waited)} ms of it ${why}`);
    }
    this.latency.textContent = parts.join(" · ");
  }

  #be(state) {
    this.state = state;
    this.element.dataset.state = state;
    this.element.setAttribute("aria-busy", String(state !== "done"));
  }

  #unfold() {
    for (const card of this.list.children) card.classList.remove("folded");
    const first = [...this.list.children].find((card) => !card.dataset.number);
    this.more.hidden = true;
    first?.querySelector("button").focus();
  }

  #write(text, cited) {
    const paragraphs = text.split(/\n+/).filter((line) => line.trim()).map((line) => {
      const paragraph = h("p");
      let from = 0;
      for (const mark of line.matchAll(MARK)) {
        paragraph.append(line.slice(from, mark.index).replace(/\s+$/, " "), this.#mark(Number(mark[1]), cited));
        from = mark.index + mark[0].length;
      }
      paragraph.append(line.slice(from));
      return paragraph;
    });
    this.answer.replaceChildren(...paragraphs);
  }

  #mark(number, cited) {
    const citation = cited.get(number);
    if (!citation) return h("span", { class: "cite", "aria-hidden": "true" }, String(number));
    const what = citation.modality === "audio" ? "play" : "open";
    return h("button", {
      type: "button",
      class: "cite",
      "aria-label": `Source ${number}: ${what} ${named(citation)}`,
      title: `${named(citation)}`,
      onclick: () => this.show(citation.id),
    }, String(number));
  }

  #card(hit) {
    let card = this.cards.get(hit.id);
    if (!card) {
      const sound = hit.modality === "audio";
      card = h("li", {},
        h("button", { type: "button", class: "card", onclick: () => this.show(hit.id) },
          h("span", { class: "badge" }),
          h("span", { class: "card-head" },
            h("span", { class: "title" }, hit.title),
            h("span", { class: "place" }, locationOf(hit))),
          h("span", { class: "snippet" })));
      card.dataset.id = hit.id;
      card.querySelector(".badge").append(icon(sound ? "wave" : "page"));
      this.cards.set(hit.id, card);
    }
    card.passage = hit;
    const quote = [...new Set(hit.quotes?.map((one) => one.quote))].filter(Boolean).join(" … ");
    card.querySelector(".snippet").textContent = quote || hit.text || "Sound without words";
    if (hit.number) {
      card.dataset.number = String(hit.number);
      card.querySelector(".badge").replaceChildren(String(hit.number));
    }
    const verb = hit.modality === "audio" ? "Play" : "Open";
    card.querySelector("button").setAttribute("aria-label", `${verb} ${hit.number ? `source ${hit.number}, ` : ""}${named(hit)}: ${quote || hit.text || ""}`);
    return card;
  }

  /** Plays a passage's seconds below its card, or opens its document with the passage marked. */
  show(id) {
    const card = this.cards.get(id);
    const passage = card.passage;
    card.classList.remove("folded");
    if (passage.modality !== "audio") {
      read(passage, passage.quotes);
      return;
    }
    if (!card.player) {
      card.player = new Player(passage, () => {
        card.player = null;
        card.querySelector(".card").focus();
      });
      card.append(card.player.element);
    }
    card.player.playSpan().catch((error) => this.onError(error));
    card.scrollIntoView({ block: "nearest" });
  }
}
