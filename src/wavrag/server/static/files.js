// Files of documents: their folders, dates and durations, and opening the original.

import { call, documentPath, json, token } from "./api.js";
import { dateOf, fileName, h, icon, shortFolder } from "./dom.js";
import { showError } from "./alerts.js";

const documents = new Map(); // id to document, as listed by the server

/** Fetches the documents of ids that are not known yet; returns all of them by id. */
export async function describe(ids) {
  const unknown = [...new Set(ids)].filter((id) => !documents.has(id));
  if (unknown.length) {
    const query = new URLSearchParams(unknown.map((id) => ["id", id]));
    for (const document of (await json(`v1/documents?${query}`)).documents) documents.set(document.id, document);
  }
  return documents;
}

const isUrl = (source) => /^https?:/.test(source);

/** An element with the file name, folder and date of a document, and paths with its content. */
export function origin(document, copies = []) {
  const { folder = "", modified, metadata = {} } = document;
  const others = copies.filter((path) => !/(^|[\\/])[0-9a-f]{32}\.\w{2,5}$/.test(path));
  const date = dateOf(metadata.date ?? modified);
  const facts = [
    h("span", { class: "file", title: document.source }, fileName(document)),
    folder ? h("span", { class: "folder", title: folder }, shortFolder(folder)) : document.name ? h("span", {}, "uploaded") : null,
    date ? h("time", { dateTime: metadata.date ?? modified }, date) : null,
    others.length ? h("span", { title: others.join("\n") }, `also at ${others.map(shortFolder).join(", ")}`) : null,
  ].filter(Boolean);
  return h("span", { class: "facts" }, ...facts.flatMap((fact, i) => (i ? [" · ", fact] : [fact])));
}

/** A link that opens the original file of a document, or its web page, in a new tab; null without. */
export function originalLink({ id, source, title, modified }) {
  if (!modified && !isUrl(source)) return null;
  const href = isUrl(source) ? source : `${documentPath(id)}/original`;
  return h("a", {
    class: "link", href, target: "_blank", rel: "noopener noreferrer", "aria-label": `Open the original of ${title}`,
    onclick: (event) => {
      if (!token() || isUrl(source)) return;
      event.preventDefault(); // a link cannot send the token
      openWithToken(href).catch((error) => showError(error));
    },
  }, "Open original", icon("open"));
}

async function openWithToken(path) {
  const reply = await call(path);
  const disposition = reply.headers.get("content-disposition") ?? "";
  const url = URL.createObjectURL(await reply.blob());
  const name = decodeURIComponent(/filename\*=utf-8''([^;]+)/i.exec(disposition)?.[1] ?? /filename="([^"]+)"/.exec(disposition)?.[1] ?? "file");
  const link = h("a", disposition.startsWith("inline") ? { href: url, target: "_blank", rel: "noopener" } : { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the new tab needs it until it has loaded
}
