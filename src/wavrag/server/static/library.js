// The library: what the knowledge base holds, files that are added, documents that are removed.

import { documentPath, json, upload } from "./api.js";
import { $, duration, h, icon, plural } from "./dom.js";
import { read } from "./reader.js";

const AT_ONCE = 60; // documents listed

export class Library {
  /** Tells how many documents there are, errors, and the document to ask in. */
  constructor({ onCount, onError, onScope }) {
    Object.assign(this, { onCount, onError, onScope });
    this.listed = [];
    this.asked = 0;
    this.adding = Promise.resolve();
    let timer;
    $("filter").oninput = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.list(), 150);
    };
    for (const radio of document.getElementsByName("kind")) radio.onchange = () => this.list();
    $("more").onclick = () => this.list(true);
    $("add").onclick = () => $("files").click();
    $("files").onchange = () => {
      this.add($("files").files);
      $("files").value = "";
    };
    this.#takeDrops();
  }

  async count() {
    const { total } = await json("v1/documents?limit=1");
    this.onCount(total);
  }

  /** Lists what passes the filters; more of it, if asked. */
  async list(more = false) {
    const number = ++this.asked;
    const query = new URLSearchParams({ q: $("filter").value.trim(), limit: AT_ONCE, offset: more ? this.listed.length : 0 });
    const kind = document.querySelector("input[name=kind]:checked").value;
    if (kind) query.set("modality", kind);
    let found;
    try {
      found = await json(`v1/documents?${query}`);
    } catch (error) {
      this.onError(error);
      return;
    }
    if (number !== this.asked) return; // a later one is on its way
    this.listed = more ? [...this.listed, ...found.documents] : found.documents;
    $("documents").replaceChildren(...this.listed.map((document) => this.#row(document)));
    $("more").hidden = this.listed.length >= found.total;
    const filtered = kind || $("filter").value.trim();
    $("filters").hidden = !filtered && !found.total;
    $("shown").textContent = found.total
      ? plural(found.total, filtered ? "match" : "file", filtered ? "matches" : undefined)
      : filtered ? "Nothing matches. Change the filter." : "";
    if (!filtered) {
      this.onCount(found.total);
      if (!found.total) $("documents").replaceChildren(this.#empty());
    }
  }

  #empty() {
    return h("li", { class: "empty" },
      h("p", {}, h("strong", {}, "Nothing here yet.")),
      h("p", {}, "Drop recordings and documents anywhere on this page, or choose them with “Add files”. Taken are text, Markdown, HTML, PDF, and wav, mp3, flac, ogg, opus, m4a and mp4."));
  }

  #row(document) {
    const audio = document.modality === "audio";
    const name = document.metadata.filename ?? document.source.split("/").pop();
    const facts = [audio ? duration(document.seconds) : plural(document.passages, "passage"), name !== document.title && name];
    return h("li", { class: "document" },
      h("button", { type: "button", class: "open", onclick: () => read({ ...document, document_id: document.id }) },
        h("span", { class: "badge" }, icon(audio ? "wave" : "page")),
        h("span", { class: "title" }, document.title),
        h("span", { class: "place" }, facts.filter(Boolean).join(" · "))),
      h("button", { type: "button", class: "quiet", "aria-label": `Ask in ${document.title} only`, onclick: () => this.onScope(document) }, "Ask in this"),
      h("button", { type: "button", class: "round plain", "aria-label": `Remove ${document.title}`, title: "Remove", onclick: () => this.#remove(document) }, icon("bin")));
  }

  async #remove(document) {
    $("confirm-text").textContent = `Remove “${document.title}” from the library? Files that were uploaded here are deleted; others stay where they are.`;
    const dialog = $("confirm");
    dialog.returnValue = "no";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "yes") return;
    try {
      const job = await json(`${documentPath(document.id)}?wait=30`, { method: "DELETE" });
      if (job.state === "failed") throw new Error(job.error);
      await this.list();
      $("library").focus();
    } catch (error) {
      this.onError(error);
    }
  }

  /** Adds files one after the other. */
  add(files) {
    for (const file of files) {
      const bar = h("progress", { max: 1, value: 0, "aria-label": `${file.name}` });
      const state = h("span", { class: "state", role: "status" }, "waiting");
      const row = h("li", {}, h("span", { class: "title" }, file.name), state, bar);
      $("uploads").append(row);
      this.adding = this.adding.then(() => this.#add(file, row, bar, state));
    }
    return this.adding;
  }

  async #add(file, row, bar, state) {
    try {
      state.textContent = "uploading";
      let job = await upload(file, (share) => {
        bar.value = share;
        state.textContent = share < 1 ? `uploading, ${Math.round(100 * share)} %` : "checking";
      });
      bar.removeAttribute("value"); // how long indexing takes is not known
      while (job.state === "queued" || job.state === "running") {
        const { passages = 0, audio_seconds: seconds = 0 } = job.progress;
        state.textContent = job.error ?? (seconds ? `indexing, ${duration(seconds)} heard` : passages ? `indexing, ${plural(passages, "passage")}` : "indexing");
        await new Promise((resolve) => setTimeout(resolve, 250));
        job = await json(`v1/jobs/${job.id}?wait=1`);
      }
      const skipped = job.report?.skipped?.[0];
      if (job.state === "failed" || skipped) throw new Error(skipped?.reason ?? job.error);
      const known = job.report.unchanged.length > 0;
      state.textContent = known ? "is there already" : "added";
      const notes = (job.report.notes ?? []).map((note) => note.note).join(" ");
      if (notes) state.textContent += `. ${notes}`;
      row.classList.add("done");
      bar.remove();
      row.append(this.#dismiss(row));
      await this.list();
    } catch (error) {
      // The row says the name already.
      const named = `${file.name}: `.toLowerCase();
      state.textContent = error.message.toLowerCase().startsWith(named) ? error.message.slice(named.length) : error.message;
      row.classList.add("failed");
      bar.remove();
      row.append(this.#dismiss(row));
    }
  }

  #dismiss(row) {
    return h("button", { type: "button", class: "round plain", "aria-label": "Dismiss", onclick: () => row.remove() }, icon("close"));
  }

  #takeDrops() {
    let depth = 0; // of elements that are entered and not left
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    const show = (shown) => { $("drop").hidden = !shown; };
    addEventListener("dragenter", (event) => hasFiles(event) && show(++depth > 0));
    addEventListener("dragleave", (event) => hasFiles(event) && show(--depth > 0));
    addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      show(false);
      location.hash = "library";
      this.add(event.dataTransfer.files);
    });
  }
}
