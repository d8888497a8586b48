// The library view: lists documents, uploads files, removes documents.

import { showError } from "./alerts.js";
import { documentPath, json, upload } from "./api.js";
import { $, dateOf, duration, fileName, h, icon, isConfirmed, plural, shortFolder } from "./dom.js";
import { openDocument } from "./reader.js";

const PAGE_SIZE = 60; // documents per request

export class Library {
  /** Callbacks: number of documents, and the document to limit questions to. */
  constructor({ onCount, onScope }) {
    Object.assign(this, { onCount, onScope });
    this.listed = [];
    this.requestNumber = 0;
    this.uploads = Promise.resolve();
    let timer;
    $("filter").oninput = () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.list(), 150);
    };
    for (const radio of document.getElementsByName("modality")) radio.onchange = () => this.list();
    for (const name of ["folder", "kind", "sort"]) $(name).onchange = () => this.list();
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
    const filters = Object.fromEntries(Object.entries({
      q: $("filter").value.trim(),
      modality: document.querySelector("input[name=modality]:checked").value,
      folder: $("folder").value,
      kind: $("kind").value,
    }).filter(([, value]) => value));
    const query = new URLSearchParams({ ...filters, sort: $("sort").value, limit: PAGE_SIZE, offset: more ? this.listed.length : 0 });
    let page;
    try {
      page = await json(`v1/documents?${query}`);
    } catch (error) {
      showError(error, () => this.list(more));
      return;
    }
    if (number !== this.requestNumber) return; // outdated: a later request is running
    this.listed = more ? [...this.listed, ...page.documents] : page.documents;
    $("documents").replaceChildren(...this.listed.map((document) => this.#row(document)));
    $("more").hidden = this.listed.length >= page.total;
    fillSelect($("folder"), "All folders", page.folders.filter(Boolean), shortFolder);
    fillSelect($("kind"), "All kinds", page.kinds.filter(Boolean), (kind) => kind.toUpperCase());
    const isFiltered = Object.keys(filters).length > 0;
    $("filters").hidden = !isFiltered && !page.total;
    $("match-count").textContent = page.total
      ? plural(page.total, isFiltered ? "match" : "file", isFiltered ? "matches" : undefined)
      : isFiltered ? "No matches. Change the filter." : "";
    if (!isFiltered) {
      this.onCount(page.total);
      if (!page.total) $("documents").replaceChildren(this.#empty());
    }
    if (!more) this.#showWatch();
  }

  /** Shows the watched folders: their state, latest runs, skipped files and kinds not read. */
  async #showWatch() {
    let watch;
    try {
      watch = await json("v1/watch");
    } catch {
      return; // the list is complete without
    }
    $("watch").hidden = watch.state === "off";
    if (watch.state === "off") return;
    const unreadCount = watch.unread.reduce((sum, { files }) => sum + files.length, 0);
    const states = { indexing: "Indexing", watching: "Watching", stopped: "No longer watching" };
    const notes = [watch.skipped.length && `${plural(watch.skipped.length, "file")} skipped`, unreadCount && `${plural(unreadCount, "file")} of kinds not read`];
    $("watch").querySelector("summary").replaceChildren(
      h("span", { class: `dot ${watch.state}` }), h("span", {}, `${states[watch.state]} ${watch.folders.map(shortFolder).join(", ")}`),
      h("span", { class: "location" }, notes.filter(Boolean).join(" · ")));
    const runs = watch.runs.map(({ ended, ...counts }) => h("li", {},
      h("time", { dateTime: ended, class: "location" }, new Date(ended).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })), " ",
      Object.entries(counts).filter(([, count]) => count).map(([change, count]) => `${plural(count, "file")} ${change}`).join(", ")));
    const section = (title, items) => (items.length ? [h("h2", {}, title), h("ul", {}, ...items)] : []);
    $("watch").querySelector("div").replaceChildren(
      ...(watch.error ? [h("p", { class: "failed" }, watch.error)] : []),
      ...section("Latest runs", runs),
      ...section("Skipped", watch.skipped.map(({ source, reason }) => h("li", {}, h("strong", { title: source }, fileName({ source })), `: ${reason.replaceAll(`${source}: `, "")}`))),
      ...section("Not read", watch.unread.map(({ kind, reason, files }) => h("li", {},
        h("strong", { title: files.join("\n") }, `${kind || "without a suffix"}, ${plural(files.length, "file")}`), `: ${reason}`))));
    clearTimeout(this.watchTimer);
    if (watch.state === "indexing") this.watchTimer = setTimeout(() => !$("library").hidden && this.list(), 2000);
  }

  #empty() {
    return h("li", { class: "empty" },
      h("p", {}, h("strong", {}, "The library is empty.")),
      h("p", {}, "Drop recordings and documents anywhere on this page, or choose them with “Add files”. Recordings of any format, text, PDF, office documents, sheets, e-mail, e-books and subtitles are read."));
  }

  #row(document) {
    const audio = document.modality === "audio";
    const details = [document.name !== document.title && document.name, audio && duration(document.seconds), dateOf(document.modified)];
    const folder = document.folder ? h("span", { class: "folder", title: document.folder }, shortFolder(document.folder)) : "uploaded";
    return h("li", { class: "document" },
      h("button", { type: "button", class: "open", onclick: () => openDocument(document) },
        h("span", { class: "badge" }, icon(audio ? "wave" : "page")),
        h("span", { class: "title" }, document.title),
        h("span", { class: "location" }, `${details.filter(Boolean).join(" · ")} · `, folder)),
      h("button", { type: "button", class: "quiet", "aria-label": `Ask only ${document.title}`, onclick: () => this.onScope(document) }, "Ask this document"),
      h("button", { type: "button", class: "round plain", "aria-label": `Remove ${document.title}`, title: "Remove", onclick: () => this.#remove(document) }, icon("bin")));
  }

  async #remove(document) {
    $("confirm-text").textContent = `Remove “${document.title}” from the library? An uploaded file is deleted; a file indexed from a folder stays there.`;
    if (!(await isConfirmed($("confirm")))) return;
    try {
      const job = await json(`${documentPath(document.id)}?wait=30`, { method: "DELETE" });
      if (job.state === "failed") throw new Error(job.error);
      await this.list();
      $("library").focus();
    } catch (error) {
      showError(error, () => this.#remove(document));
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
      const end = () => json(`v1/jobs/${job.id}/cancel`, { method: "POST" }).catch(() => {}); // it has just ended
      const cancel = h("button", { type: "button", class: "link", onclick: end }, "Cancel");
      row.append(cancel);
      while (job.state === "queued" || job.state === "running") {
        const { passages = 0, audio_seconds: seconds = 0 } = job.progress;
        state.textContent = job.error ?? (seconds ? `indexing, ${duration(seconds)} of audio` : passages ? `indexing, ${plural(passages, "passage")}` : "indexing");
        await new Promise((resolve) => setTimeout(resolve, 250));
        job = await json(`v1/jobs/${job.id}?wait=1`);
      }
      cancel.remove();
      if (job.state === "cancelled") throw new Error("cancelled");
      const skipped = job.report?.skipped?.[0];
      if (job.state === "failed" || skipped) throw new Error(skipped?.reason ?? job.error);
      const [existing] = job.report.unchanged;
      state.textContent = existing ? "already in the library" : "added";
      const [id] = existing ? [existing] : [...job.report.added, ...job.report.updated];
      const indexed = id && (await json(documentPath(id)));
      if (existing && indexed.title !== file.name) state.textContent += ` as “${indexed.title}”`;
      if (indexed) state.after(h("button", { type: "button", class: "link", onclick: () => openDocument(indexed) }, "Open"));
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
      state.after(h("button", { type: "button", class: "link", onclick: () => { row.remove(); this.add([file]); } }, "Try again"));
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

/** Fills a filter with values, if there are several; keeps the selected one. */
function fillSelect(select, all, values, label) {
  const selected = select.value;
  select.replaceChildren(h("option", { value: "" }, all), ...values.map((value) => h("option", { value }, label(value))));
  select.value = values.includes(selected) ? selected : "";
  select.hidden = values.length < 2 && !selected;
}
