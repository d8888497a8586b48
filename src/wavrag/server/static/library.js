// The library view: lists documents, uploads files, removes documents.

import { documentPath, json, upload } from "./api.js";
import { $, duration, h, icon, plural } from "./dom.js";
import { openDocument } from "./reader.js";

const PAGE_SIZE = 60; // documents per request

export class Library {
  /** Callbacks: number of documents, errors, and the document to limit questions to. */
  constructor({ onCount, onError, onScope }) {
    Object.assign(this, { onCount, onError, onScope });
    this.listed = [];
    this.requestNumber = 0;
    this.uploads = Promise.resolve();
    let timer;
    $("filter").oninput = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.list(), 150);
    };
    for (const radio of document.getElementsByName("modality")) radio.onchange = () => this.list();
    $("more").onclick = () => this.list(true);
    $("add").onclick = () => $("files").click();
    $("files").onchange = () => {
      this.add($("files").files);
      $("files").value = "";
    };
    this.#acceptDrops();
  }

  async count() {
    const { total } = await json("v1/documents?limit=1");
    this.onCount(total);
  }

  /** Lists the documents that match the filters; with `more`, appends the next page. */
  async list(more = false) {
    const number = ++this.requestNumber;
    const query = new URLSearchParams({ q: $("filter").value.trim(), limit: PAGE_SIZE, offset: more ? this.listed.length : 0 });
    const modality = document.querySelector("input[name=modality]:checked").value;
    if (modality) query.set("modality", modality);
    let page;
    try {
      page = await json(`v1/documents?${query}`);
    } catch (error) {
      this.onError(error);
      return;
    }
    if (number !== this.requestNumber) return; // outdated: a later request is running
    this.listed = more ? [...this.listed, ...page.documents] : page.documents;
    $("documents").replaceChildren(...this.listed.map((document) => this.#row(document)));
    $("more").hidden = this.listed.length >= page.total;
    const isFiltered = modality || $("filter").value.trim();
    $("filters").hidden = !isFiltered && !page.total;
    $("match-count").textContent = page.total
      ? plural(page.total, isFiltered ? "match" : "file", isFiltered ? "matches" : undefined)
      : isFiltered ? "No matches. Change the filter." : "";
    if (!isFiltered) {
      this.onCount(page.total);
      if (!page.total) $("documents").replaceChildren(this.#empty());
    }
  }

  #empty() {
    return h("li", { class: "empty" },
      h("p", {}, h("strong", {}, "The library is empty.")),
      h("p", {}, "Drop recordings and documents anywhere on this page, or choose them with “Add files”. Recordings of any format, text, PDF, office documents, sheets, e-mail, e-books and subtitles are read."));
  }

  #row(document) {
    const audio = document.modality === "audio";
    const name = document.metadata.filename ?? document.source.split("/").pop();
    const details = [audio ? duration(document.seconds) : plural(document.passages, "passage"), name !== document.title && name];
    return h("li", { class: "document" },
      h("button", { type: "button", class: "open", onclick: () => openDocument({ ...document, document_id: document.id }) },
        h("span", { class: "badge" }, icon(audio ? "wave" : "page")),
        h("span", { class: "title" }, document.title),
        h("span", { class: "location" }, details.filter(Boolean).join(" · "))),
      h("button", { type: "button", class: "quiet", "aria-label": `Ask only ${document.title}`, onclick: () => this.onScope(document) }, "Ask this document"),
      h("button", { type: "button", class: "round plain", "aria-label": `Remove ${document.title}`, title: "Remove", onclick: () => this.#remove(document) }, icon("bin")));
  }

  async #remove(document) {
    $("confirm-text").textContent = `Remove “${document.title}” from the library? An uploaded file is deleted; a file indexed from a folder stays there.`;
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

  /** Uploads files, one after the other. */
  add(files) {
    for (const file of files) {
      const bar = h("progress", { max: 1, value: 0, "aria-label": `${file.name}` });
      const state = h("span", { class: "state", role: "status" }, "waiting");
      const row = h("li", {}, h("span", { class: "title" }, file.name), state, bar);
      $("uploads").append(row);
      this.uploads = this.uploads.then(() => this.#add(file, row, bar, state));
    }
    return this.uploads;
  }

  async #add(file, row, bar, state) {
    try {
      state.textContent = "uploading";
      let job = await upload(file, (fraction) => {
        bar.value = fraction;
        state.textContent = fraction < 1 ? `uploading, ${Math.round(100 * fraction)} %` : "checking";
      });
      bar.removeAttribute("value"); // indeterminate: the duration of indexing is unknown
      while (job.state === "queued" || job.state === "running") {
        const { passages = 0, audio_seconds: seconds = 0 } = job.progress;
        state.textContent = job.error ?? (seconds ? `indexing, ${duration(seconds)} of audio` : passages ? `indexing, ${plural(passages, "passage")}` : "indexing");
        await new Promise((resolve) => setTimeout(resolve, 250));
        job = await json(`v1/jobs/${job.id}?wait=1`);
      }
      const skipped = job.report?.skipped?.[0];
      if (job.state === "failed" || skipped) throw new Error(skipped?.reason ?? job.error);
      const exists = job.report.unchanged.length > 0;
      state.textContent = exists ? "already in the library" : "added";
      const notes = (job.report.notes ?? []).map((note) => note.note).join(" ");
      if (notes) state.textContent += `. ${notes}`;
      row.classList.add("done");
      bar.remove();
      row.append(this.#dismiss(row));
      await this.list();
    } catch (error) {
      // The row shows the name already.
      const prefix = `${file.name}: `.toLowerCase();
      state.textContent = error.message.toLowerCase().startsWith(prefix) ? error.message.slice(prefix.length) : error.message;
      row.classList.add("failed");
      bar.remove();
      row.append(this.#dismiss(row));
    }
  }

  #dismiss(row) {
    return h("button", { type: "button", class: "round plain", "aria-label": "Dismiss", onclick: () => row.remove() }, icon("close"));
  }

  #acceptDrops() {
    let depth = 0; // dragenter and dragleave also fire for child elements
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    const setVisible = (visible) => { $("drop").hidden = !visible; };
    addEventListener("dragenter", (event) => hasFiles(event) && setVisible(++depth > 0));
    addEventListener("dragleave", (event) => hasFiles(event) && setVisible(--depth > 0));
    addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      depth = 0;
      setVisible(false);
      location.hash = "library";
      this.add(event.dataTransfer.files);
    });
  }
}
